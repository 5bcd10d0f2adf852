from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from configs.errors import SettingsError
from pipeline.cluster import num_free_cards
from pipeline.ray_executor import share_of_a_card


@pytest.mark.parametrize("num_cards", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize(
    "hosts_of", [lambda cards: cards, lambda cards: 2 * cards + 1, lambda cards: 5 * cards]
)
def test_all_hosts_fit_on_the_cards(num_cards: int, hosts_of: Callable[[int], int]) -> None:
    num_hosts = hosts_of(num_cards)
    share = share_of_a_card(num_hosts, num_cards)
    assert num_cards * int(1.0 / share + 1e-9) >= num_hosts
    assert share == round(share, 4), "Ray counts in ten-thousandths"


def test_hosts_without_a_card_to_wait_for_are_refused() -> None:
    assert share_of_a_card(0, 0) == 0.0
    with pytest.raises(SettingsError, match=r"run\.device: Ray has no graphics card that is free"):
        share_of_a_card(2, 0)


def test_on_a_cluster_what_others_have_taken_does_not_count() -> None:
    ray = ModuleType("ray")
    vars(ray).update(
        cluster_resources=lambda: {"GPU": 4.0, "CPU": 8.0}, available_resources=lambda: {"GPU": 2.5}
    )
    assert num_free_cards(ray, "head:6379") == 2
    assert num_free_cards(ray, "local") == 4

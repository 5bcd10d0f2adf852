from __future__ import annotations

from collections.abc import Callable

import pytest

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

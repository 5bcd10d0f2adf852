from __future__ import annotations

import pytest

from configs.errors import SettingsError
from configs.schema import EncodeSettings, RunSettings, Settings
from pipeline.budget import Limits, budget_bytes, fit, needed_bytes, object_store_bytes
from stages.messages import Size


def settings_of(budget_mb: int, placement: str = "fused") -> Settings:
    run = {"executor": "ray", "placement": placement, "memory_budget_mb": budget_mb, "window_frames": 6}
    return Settings(run=RunSettings.model_validate(run), encode=EncodeSettings(run_frames=12))


def fitted(size: Size, settings: Settings) -> Limits:
    return fit(size, settings, budget_bytes(settings))


def test_a_megapixel_frame_with_its_map_takes_5_mb() -> None:
    # 6 in flight and three runs of 12: 42 frames of 1000 x 1000 x (3 + 2) bytes
    limits = Limits(window_frames=6, run_frames=12)
    assert needed_bytes((1000, 1000), settings_of(0), limits) == 42 * 5_000_000


def test_the_default_budget_is_two_fifths_of_the_store() -> None:
    assert object_store_bytes(settings_of(0)) == 1_000_000_000
    assert budget_bytes(settings_of(0)) == 400_000_000
    assert object_store_bytes(settings_of(200)) == 500_000_000


def test_on_a_cluster_the_budget_follows_the_smallest_store() -> None:
    assert budget_bytes(settings_of(0), 200_000_000) == 80_000_000
    assert budget_bytes(settings_of(300), 200_000_000) == 300_000_000


def test_small_frames_keep_the_settings() -> None:
    assert fitted((480, 854), settings_of(0)) == Limits(window_frames=6, run_frames=12)


def test_runs_shrink_before_the_window() -> None:
    # 6 + 3 x 4 = 18 frames of 5 MB are 90 MB; a fifth frame per run would make 105
    assert fitted((1000, 1000), settings_of(100)) == Limits(window_frames=6, run_frames=4)


def test_the_window_shrinks_when_runs_are_at_one() -> None:
    # 3 + 3 x 1 = 6 frames of 5 MB
    assert fitted((1000, 1000), settings_of(30)) == Limits(window_frames=3, run_frames=1)


def test_runs_and_window_hold_whole_batches() -> None:
    settings = settings_of(100)
    run = settings.run.model_copy(update={"batch_frames": 3})
    # 6 + 3 x 3 = 15 frames of 5 MB; without batches runs would have 4
    assert fitted((1000, 1000), settings.model_copy(update={"run": run})) == Limits(
        window_frames=6, run_frames=3
    )


def test_too_little_names_the_figure_that_is_needed() -> None:
    with pytest.raises(SettingsError, match=r"19 MB is too little for frames of 1000x1000.* at least 20"):
        fitted((1000, 1000), settings_of(19))


def test_a_small_store_without_a_budget_is_an_error_whose_remedy_works() -> None:
    size, allowed = (1080, 1920), budget_bytes(settings_of(0), 200_000_000)
    with pytest.raises(SettingsError, match=r"80 MB is too little .* in runs of 10; .* set it to 80"):
        fit(size, settings_of(0), allowed)
    assert fitted(size, settings_of(80)).run_frames == 1


def test_the_length_of_runs_does_not_depend_on_how_the_work_is_spread() -> None:
    lengths = {
        fitted(
            (1080, 1920), Settings(run=RunSettings(executor=executor, placement=placement, replicas=replicas))
        ).run_frames
        for executor in ("ray", "local", "inline")
        for placement in ("fused", "split")
        for replicas in (1, 2, 8)
    }
    assert lengths == {10}


def test_split_counts_what_goes_between_the_stages() -> None:
    limits = Limits(window_frames=1, run_frames=1)
    fused, split = settings_of(0), settings_of(0, "split")
    assert needed_bytes((384, 704), split, limits) > needed_bytes((384, 704), fused, limits) + 10_000_000

"""The times of a live stream, by hand: seconds in, units of 1/90,000 s out."""

from __future__ import annotations

from fractions import Fraction

import pytest

from stages.live_clock import LiveClock

SECOND = 90_000
NOON = 1_800_000_000.0
"""Seconds since 1970."""


def test_time_0_is_when_the_first_picture_came_and_the_source_counts_on() -> None:
    clock = LiveClock()
    times = [
        clock.pts(Fraction(500 + step, 10), NOON + came_s) for step, came_s in enumerate((0.0, 0.3, 0.31))
    ]
    assert times == [0, SECOND // 10, 2 * SECOND // 10]
    assert clock.began_s == NOON


def test_a_new_connection_goes_on_at_the_time_of_the_wall_clock() -> None:
    clock = LiveClock()
    clock.pts(Fraction(7), NOON)
    clock.connect()
    assert clock.pts(Fraction(0), NOON + 12) == 12 * SECOND
    assert clock.pts(Fraction(1), NOON + 13.2) == 13 * SECOND
    assert clock.num_jumps == 0


def test_jumps_back_and_ahead_are_counted_and_taken_out() -> None:
    clock = LiveClock()
    clock.pts(Fraction(100), NOON)
    assert clock.pts(Fraction(40), NOON + 1) == SECOND
    assert clock.pts(Fraction(41), NOON + 2) == 2 * SECOND
    assert clock.pts(Fraction(9_000), NOON + 3) == 3 * SECOND
    assert clock.num_jumps == 2


def test_pictures_that_come_late_in_a_burst_keep_their_own_times() -> None:
    clock = LiveClock()
    clock.pts(Fraction(0), NOON)
    assert [clock.pts(Fraction(step), NOON + 8) for step in (1, 2, 3)] == [SECOND, 2 * SECOND, 3 * SECOND]
    assert clock.num_jumps == 0


def test_times_that_repeat_or_slip_back_or_are_missing_increase_all_the_same() -> None:
    clock = LiveClock()
    clock.pts(Fraction(1), NOON)
    assert clock.pts(Fraction(1), NOON + 0.1) == 1
    assert clock.pts(Fraction(1, 2), NOON + 0.2) == 2
    assert clock.pts(None, NOON + 3) == 3 * SECOND


def test_a_picture_that_is_early_waits_but_not_for_a_clock_that_was_set_back() -> None:
    clock = LiveClock()
    clock.pts(Fraction(10), NOON)
    assert clock.early_by_s(Fraction(13), NOON + 1) == 2.0
    assert clock.early_by_s(Fraction(13), NOON + 4) == 0.0
    assert clock.early_by_s(Fraction(11), NOON - 3600) == 0.0


def test_another_process_goes_on_by_the_same_clock() -> None:
    clock = LiveClock(began_s=NOON, last_pts=50 * SECOND)
    assert clock.pts(Fraction(3), NOON + 49) == 50 * SECOND + 1
    assert clock.pts(Fraction(5), NOON + 51) == 51 * SECOND


def test_what_was_read_faster_than_it_happened_goes_on_with_its_own_distances() -> None:
    clock = LiveClock(began_s=NOON, last_pts=60 * SECOND)
    clock.connect(in_real_time=False)
    times = [clock.pts(Fraction(number, 25), NOON + 10 + number / 1000) for number in range(3)]
    assert times == [60 * SECOND + 1 + number * SECOND // 25 for number in range(3)]
    assert clock.at(Fraction(1, 25), near=times[2]) == times[1]


def test_what_is_beside_the_pictures_is_on_the_nearer_side_of_a_jump() -> None:
    clock = LiveClock()
    assert clock.at(Fraction(1), near=0) is None
    clock.pts(Fraction(100), NOON)
    clock.pts(Fraction(104), NOON + 4)
    jumped = clock.pts(Fraction(50), NOON + 4.5)
    assert clock.at(Fraction(49), near=jumped) == jumped - SECOND
    assert clock.at(Fraction(104), near=jumped) == 4 * SECOND


def test_what_is_read_more_slowly_than_it_happened_goes_on_behind_a_jump_without_a_gap() -> None:
    clock = LiveClock()
    clock.connect(in_real_time=False)
    times = [clock.pts(Fraction(number % 50, 25), NOON + number / 5) for number in range(52)]
    assert times[:50] == [number * SECOND // 25 for number in range(50)]
    assert times[50] - times[49] == pytest.approx(SECOND / 5, abs=1), "at most what it took to read"
    assert times[51] - times[50] == SECOND // 25


def test_the_time_before_a_jump_is_forgotten_after_a_while() -> None:
    clock = LiveClock()
    for number in range(10):
        clock.pts(Fraction(number), NOON + number)
    for number in range(5):
        last = clock.pts(Fraction(7 + number), NOON + 10 + number)  # 3 s back, and on
    assert clock.num_jumps == 1
    assert clock.at(Fraction("12.8"), near=last) == last + round(1.8 * SECOND)

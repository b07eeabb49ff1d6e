"""When a process is busy: at once, and until it has been quiet for a while."""

from __future__ import annotations

from core.scheduling import BUSY, QUIET_SECONDS, Bustle


def test_a_busy_second_makes_it_busy() -> None:
    bustle = Bustle(5.0)
    assert (bustle.note(5.0 + BUSY * 0.9, 1.0), bustle.is_busy) == (False, False)
    assert (bustle.note(5.0 + BUSY * 1.9, 1.0), bustle.is_busy) == (True, True)
    assert (bustle.note(5.0 + BUSY * 2.9, 1.0), bustle.is_busy) == (False, True)


def test_a_pause_does_not_make_it_quiet_but_a_long_one_does() -> None:
    bustle = Bustle(0.0)
    bustle.note(1.0, 1.0)
    assert not bustle.note(1.0, QUIET_SECONDS - 1)
    assert not bustle.note(2.0, 1.0)  # the quiet time begins anew
    assert not bustle.note(2.0, QUIET_SECONDS - 1)
    assert (bustle.note(2.0, 1.0), bustle.is_busy) == (True, False)


def test_what_counts_is_the_share_of_the_time_that_went_by() -> None:
    bustle = Bustle(0.0)
    assert not bustle.note(BUSY, 4.0)

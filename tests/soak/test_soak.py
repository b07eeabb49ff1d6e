"""Two minutes of everything at once, on a Tollgate of its own whose processes are killed at random.

`make soak` does the same for ten minutes, or as long as one likes.
"""

from __future__ import annotations

import secrets

import pytest

from config.environment import VAR_DIR, env
from tests.soak.rig import KINDS
from tests.soak.soaking import FLOORS, REFUSED_MIN, Soak, soak
from tests.soak.verdict import SHOWN_MAX

SECONDS = 120


@pytest.fixture(scope="module")
def soaked() -> Soak:
    """One soak, for all tests here; its journal stays under var/ when something is wrong."""
    seed = env.str("SOAK_SEED", "") or secrets.token_hex(3)
    return soak(SECONDS, seed, VAR_DIR / "soak" / f"test-{seed}", print)


def test_nothing_is_lost_doubled_overspent_or_left_over(soaked: Soak) -> None:
    assert not soaked.wrong, "\n".join(
        [f"SOAK_SEED={soaked.seed}, see {soaked.folder}", *soaked.wrong[:SHOWN_MAX]]
    )


def test_every_kind_of_process_was_killed(soaked: Soak) -> None:
    assert soaked.kills.keys() == set(KINDS)


def test_all_that_clients_and_staff_can_do_was_done(soaked: Soak) -> None:
    rare = {kind: soaked.acts[kind] for kind, least in FLOORS.items() if soaked.acts[kind] < least}
    assert not rare
    assert soaked.refused >= REFUSED_MIN

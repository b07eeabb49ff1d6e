"""Chance, so that the same history comes out each time: nothing secret is made of it."""

from __future__ import annotations

from random import Random
from typing import Final

SEED: Final = 2026


def dice_for(*names: object) -> Random:
    """Dice that fall the same way for the same names."""
    return Random(":".join(str(name) for name in (SEED, *names)))


def thrown_dice() -> Random:
    """Dice that nobody has thrown before."""
    return Random()

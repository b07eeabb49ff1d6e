"""What the buttons of /demo are and what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from billing.demo.gateway import Gateway


@dataclass(frozen=True, slots=True)
class Side:
    """A figure before and after: an amount of `currency`, or without one a number of calls."""

    label: str
    before: Decimal
    after: Decimal
    currency: str = ""


@dataclass(slots=True)
class Outcome:
    """What a button did: the requests by answer, sides before and after, links, one line of sense."""

    answers: list[tuple[str, int]] = field(default_factory=list)
    sides: list[Side] = field(default_factory=list)
    links: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    """(text, name of the address, its arguments)"""
    sense: str = ""
    milliseconds: int = 0


@dataclass(frozen=True, slots=True)
class Act:
    """One button."""

    key: str
    title: str
    text: str
    button: str
    play: Callable[[Gateway], Outcome]

"""The world as clients know it: who may call, who pays, and what is under way."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

RECENT: Final = 200


@dataclass(slots=True)
class Payer:
    """Who pays; `row` is its row's id. `credit_limit`: of an invoiced one, as set last; `first`: before."""

    id: str
    row: int
    organizations: list[int]
    settlement: str
    credit_limit: Decimal | None
    subscription: str
    first: Decimal | None = None

    @property
    def is_prepaid(self) -> bool:
        """Whether its wallet is all that it may spend."""
        return self.settlement == "prepaid"


@dataclass(slots=True)
class Place:
    """A workspace with its API key, and the organizations that it lies in."""

    workspace: str
    row: int
    api_key: str
    key_row: int
    organizations: list[int]


@dataclass(slots=True)
class Bound:
    """A spend limit; `how` its amount changes: `raised` only, or `moved`. `amount` is what was last set,
    `first` what was set at the start."""

    id: str
    level: str
    owner: int
    window: str
    how: str
    amount: Decimal
    first: Decimal = Decimal(0)


@dataclass(slots=True)
class Hold:
    """An authorization or lease as it was answered; `expires_at` in seconds of the epoch."""

    id: str
    key: str
    name: str
    caller: dict[str, str]
    amount: Decimal
    expires_at: float


@dataclass(slots=True)
class Customer:
    """A customer: its callers and payers, its open holds and leases, and calls that were charged lately."""

    id: int
    name: str
    currency: str
    unit: Decimal
    is_strict: bool
    plans: list[str]
    payers: list[Payer]
    places: list[Place]
    limits: list[Bound]
    holds: list[Hold] = field(default_factory=list)
    leases: list[Hold] = field(default_factory=list)
    charged: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECENT))

    def organizations_of(self, workspace: int | None, payer: int) -> list[int]:
        """The organizations that a call counts in: its workspace's, or its payer's where it names none."""
        if workspace is None:
            return next(one.organizations for one in self.payers if one.row == payer)
        return next(one.organizations for one in self.places if one.row == workspace)


@dataclass(slots=True)
class World:
    """All of them, with the integration key of those who call."""

    secret: str
    customers: list[Customer]

    @property
    def payers(self) -> dict[str, Payer]:
        """Every payer, by its id."""
        return {payer.id: payer for customer in self.customers for payer in customer.payers}

    @property
    def strict_payers(self) -> set[int]:
        """The rows of those of whom nothing is reported."""
        return {payer.row for one in self.customers if one.is_strict for payer in one.payers}


def read_world(made: dict[str, Any]) -> World:
    """What `tests.soak.world` printed."""
    return World(made["secret"], [_customer(one) for one in made["customers"]])


def _customer(made: dict[str, Any]) -> Customer:
    parts = {
        "unit": Decimal(made["unit"]),
        "payers": [_payer(one) for one in made["payers"]],
        "places": [Place(**one) for one in made["places"]],
        "limits": [_bound(one) for one in made["limits"]],
    }
    return Customer(**made | parts)


def _bound(made: dict[str, Any]) -> Bound:
    amount = Decimal(made["amount"])
    return Bound(**made | {"amount": amount, "first": amount})


def _payer(made: dict[str, Any]) -> Payer:
    limit = None if made["credit_limit"] is None else Decimal(made["credit_limit"])
    return Payer(**made | {"credit_limit": limit, "first": limit})

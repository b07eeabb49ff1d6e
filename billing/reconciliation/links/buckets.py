"""Events <-> usage buckets: a meter's hourly quantities are those of the events that it heard."""

from __future__ import annotations

from typing import Final

from billing.reconciliation.link import Checked, Link, Scope

NAME: Final = "buckets"
QUANTITY: Final = "bucket_quantity"
COUNT: Final = "bucket_events"
UNIQUE: Final = "bucket_uniques"


def check(scope: Scope) -> Checked:
    """Every bucket of the payers that are looked at from their first number."""
    return Checked(scope.usage.buckets_read, list(scope.usage.buckets))


LINK: Final = Link(
    NAME,
    "events",
    "usage buckets",
    {
        QUANTITY: "A bucket's quantity is not what the meter took from the events of its hour.",
        COUNT: "A bucket counts other events than the meter heard in its hour.",
        UNIQUE: "A meter's buckets hold another number of unique values than are kept.",
    },
    check,
)

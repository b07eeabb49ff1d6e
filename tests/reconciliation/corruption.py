"""What a superuser may do to the record in SQL, and which check must find it with which amount."""

from __future__ import annotations

from dataclasses import dataclass

OF_THE_CALL = (
    "(SELECT e.id FROM metering_usageevent e WHERE e.properties->>'tokens' = '20' ORDER BY e.seq LIMIT 1)"
)


@dataclass(frozen=True)
class Corruption:
    """`sql` is run with triggers and foreign keys off. `finds`: the link and type that must tell it, and the
    amount (actual - expected) with its unit."""

    says: str
    sql: str
    link: str
    type: str
    amount: str
    unit: str = "USD"

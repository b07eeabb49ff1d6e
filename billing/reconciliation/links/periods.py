"""Subscriptions <-> periods: periods and segments follow each other, and close together."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from billing.reconciliation.link import ROWS, Checked, Finding, Link, Scope
from core.ids import public_id
from core.numbers import ONE, ZERO

NAME: Final = "periods"
OVERLAP: Final = "periods_overlap"
OUTSIDE: Final = "segment_outside_its_period"
CLOSED: Final = "closed_apart"
COUPON: Final = "coupon_of_an_open_period"
BROKEN: Final = """
    WITH subscribed AS MATERIALIZED (
        SELECT s.id, s.customer_id, s.billing_entity_id FROM span JOIN pricing_subscription s
            ON s.customer_id = span.customer_id AND s.billing_entity_id = span.payer_id),
    period AS MATERIALIZED (
        SELECT p.*, s.billing_entity_id
        FROM subscribed s JOIN pricing_billingperiod p ON p.subscription_id = s.id),
    segment AS MATERIALIZED (
        SELECT g.*, s.billing_entity_id
        FROM subscribed s JOIN pricing_segment g ON g.subscription_id = s.id)
    SELECT 'periods_overlap', a.customer_id, a.billing_entity_id, 'bp', b.id
    FROM period a JOIN period b ON b.subscription_id = a.subscription_id AND b.starts_at > a.starts_at
        AND b.starts_at < a.ends_at
    UNION ALL
    SELECT 'periods_overlap', a.customer_id, a.billing_entity_id, 'seg', b.id
    FROM segment a JOIN segment b ON b.subscription_id = a.subscription_id AND b.starts_at > a.starts_at
        AND b.starts_at < a.ends_at
    UNION ALL
    SELECT 'segment_outside_its_period', g.customer_id, g.billing_entity_id, 'seg', g.id
    FROM segment g JOIN period p ON p.id = g.period_id
    WHERE g.starts_at < p.starts_at OR g.ends_at > p.ends_at
    UNION ALL
    SELECT 'closed_apart', g.customer_id, g.billing_entity_id, 'seg', g.id
    FROM segment g JOIN period p ON p.id = g.period_id
    WHERE p.closed_at IS DISTINCT FROM g.closed_at"""
COUPONS: Final = """
    SELECT c.customer_id, c.billing_entity_id, c.id, c.amount
    FROM span
    JOIN billing_couponcredit c ON c.customer_id = span.customer_id AND c.billing_entity_id = span.payer_id
    LEFT JOIN pricing_billingperiod p ON p.id = c.period_id
    WHERE p.closed_at IS NULL"""
PERIODS: Final = """
    SELECT count(*) FROM span JOIN pricing_subscription s
        ON s.customer_id = span.customer_id AND s.billing_entity_id = span.payer_id
    JOIN pricing_billingperiod p ON p.subscription_id = s.id"""


def check(scope: Scope) -> Checked:
    """The periods and segments of every payer."""
    checked = Checked(scope.rows(PERIODS)[0][0])
    for kind, customer_id, payer_id, prefix, pk in scope.rows(BROKEN):
        name = public_id(prefix, pk)
        noun = "period" if prefix == "bp" else "segment"
        checked.findings.append(
            Finding(
                kind,
                f"{noun} {name}",
                ROWS,
                ZERO,
                ONE,
                customer_id,
                payer_id,
                detail={noun: name},
            )
        )
    for customer_id, payer_id, pk, amount in scope.rows(COUPONS):
        checked.findings.append(
            Finding(
                COUPON,
                f"coupon credit {pk}",
                scope.currency(payer_id),
                Decimal(0),
                amount,
                customer_id,
                payer_id,
                cause="Coupons give back when a period closes, and this one is open.",
            )
        )
    return checked


LINK: Final = Link(
    NAME,
    "subscriptions",
    "periods' closes",
    {
        OVERLAP: "Two periods or segments of a subscription share time.",
        OUTSIDE: "A segment reaches beyond its period.",
        CLOSED: "A period and its segment are not closed at the same instant.",
        COUPON: "A coupon's credit is booked in a period that is not closed.",
    },
    check,
)

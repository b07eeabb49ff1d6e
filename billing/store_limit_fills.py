"""SQL of how full limits are, for ordering them by it: of each row the same figure as
`billing.limits.filling` has, in one expression, so that a list is sorted and paged by the database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from django.db.models.expressions import RawSQL

from core.fields import AmountField

Kind = tuple[str, int | None, str]
"""The window, hours and time zone of a limit."""

# What is used in the present window and held, as a part of the limit; a limit of nothing is full. A few rows
# are read by key for each limit. Where windows of its kind begin comes with the statement, by the kind's
# name. A billing period is that of the oldest running subscription of who pays there now, as
# `present.present_windows` has it: where it was not opened yet nothing was used in it; without a
# subscription, or of an organization, it is the local month.
FILLED: Final = """
    (SELECT CASE WHEN l.amount = 0 THEN 1
                 ELSE (coalesce(u.used, 0) + coalesce(u.held, 0)) / l.amount END
     FROM (SELECT billing_spendlimit.customer_id, billing_spendlimit.amount,
                  'lim:' || billing_spendlimit.id AS counter,
                  billing_spendlimit."window" = 'rolling' AS is_rolling,
                  (%s::jsonb ->> concat_ws(' ', billing_spendlimit."window", billing_spendlimit.hours,
                                           billing_spendlimit.time_zone))::timestamptz AS since,
                  %s::timestamptz AS now,
                  CASE WHEN billing_spendlimit."window" = 'billing_period' THEN coalesce(
                      billing_spendlimit.billing_entity_id, (
                          SELECT a.billing_entity_id FROM accounts_payerassignment a
                          WHERE a.workspace_id = coalesce(billing_spendlimit.workspace_id, (
                                  SELECT k.workspace_id FROM accounts_apikey k
                                  WHERE k.id = billing_spendlimit.api_key_id))
                              AND (a.starts_at IS NULL OR a.starts_at <= %s::timestamptz)
                              AND (a.ends_at IS NULL OR a.ends_at > %s::timestamptz)
                          LIMIT 1)) END AS payer) AS l,
     LATERAL (SELECT (
         SELECT s.id FROM pricing_subscription s
         WHERE s.billing_entity_id = l.payer AND s.starts_at <= l.now
             AND (s.ends_at IS NULL OR s.ends_at > l.now)
         ORDER BY s.id LIMIT 1) AS id) AS s,
     LATERAL (SELECT CASE WHEN s.id IS NULL THEN l.since ELSE (
         SELECT p.starts_at FROM pricing_billingperiod p
         WHERE p.subscription_id = s.id AND p.starts_at <= l.now AND p.ends_at > l.now
         LIMIT 1) END AS since) AS w,
     LATERAL (SELECT CASE WHEN l.is_rolling THEN (
         SELECT sum(c.used) FROM billing_limitcounter c
         WHERE c.customer_id = l.customer_id AND c.counter = l.counter AND c.starts_at >= w.since)
     ELSE (
         SELECT c.used FROM billing_limitcounter c
         WHERE c.customer_id = l.customer_id AND c.counter = l.counter AND c.starts_at = w.since)
     END AS used, (
         SELECT sum(h.amount) FROM billing_limithold h
         WHERE h.customer_id = l.customer_id AND h.counter = l.counter AND h.expires_at > l.now
         ) AS held) AS u)"""


def filled_at(now: datetime, begins: Mapping[Kind, datetime]) -> RawSQL:
    """How full a limit is at `now`, for an annotation of rows of `SpendLimit`: 1 = reached.

    `begins`: where the present windows of each kind of limit among them begin, of billing periods the month.
    """
    named = json.dumps({_name(kind): at.isoformat() for kind, at in begins.items()})
    return RawSQL(FILLED, (named, now, now, now), output_field=AmountField())  # noqa: S611


def _name(kind: Iterable[object]) -> str:
    return " ".join(str(part) for part in kind if part is not None)

"""What the fees of a period come to over all that happened in it: docs/algorithms/proration.md is true."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.instants import instant_text, parse_instant
from core.numbers import plain
from pricing.base_fees import DueFee
from pricing.catalog import PlanTerms, read_plan
from pricing.cycles import Anchor, Cycle, Interval, Period
from pricing.fee_schedule import Booked, FeeDelta, FeeSpan, outstanding, scheduled_fees
from tests.pricing.documented import Row, documented, named

ZONE = ZoneInfo("UTC")
EARLY = datetime(2000, 1, 1, tzinfo=UTC)
MARCH = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
Booking = dict[tuple[str, datetime], Booked]


def terms(amount: str, mode: str = "second", **fields: Any) -> PlanTerms:
    """A plan with one fee: so much a period, in advance and prorated unless `fields` say otherwise."""
    fee = {"key": "fee", "amount": amount, "prorate": True} | fields
    if "unit_amount" in fields:
        del fee["amount"]
    return read_plan({"plan": "p", "currency": "USD", "proration": mode, "base_fees": [fee]})


def cycle(row: Row | None = None) -> Cycle:
    """The cycle of a row; without one, calendar months in UTC."""
    if row is None:
        return Cycle.anchored(Interval.MONTH, Anchor.CALENDAR, EARLY, ZONE)
    anchored = parse_instant(row["anchored"])
    return Cycle.anchored(Interval(row["interval"]), Anchor(row["anchor"]), anchored, ZoneInfo(row["zone"]))


def span(
    start: datetime, end: datetime | None, plan: PlanTerms, quantity: str = "1", of: Cycle | None = None
) -> FeeSpan:
    """A span with this quantity of the fee."""
    return FeeSpan(start, end, plan, {"fee": Decimal(quantity)}, of or cycle())


def fees(spans: Sequence[FeeSpan], period: Period = MARCH, **fields: Any) -> list[DueFee]:
    """All fees of a period."""
    given_fields = {"begins_at": EARLY, "ends_at": None, "advance_until": period.end} | fields
    return scheduled_fees(spans, period, **given_fields)


def booked_with(booked: Booking, deltas: Sequence[FeeDelta]) -> Booking:
    """What is booked after these."""
    after = dict(booked)
    for delta in deltas:
        key = (delta.key, delta.covers.start)
        had = after[key].amount if key in after else Decimal(0)
        after[key] = Booked(had + delta.amount, delta.covers.end, delta.at, delta.timing)
    return after


@pytest.mark.parametrize("row", documented("proration.md", "Changes in mid-period"), ids=named)
def test_a_change_in_mid_period_costs_its_parts(row: Row) -> None:
    rhythm, at = cycle(row), parse_instant(row["change"])
    period = rhythm.period_at(at)
    assert [instant_text(instant) for instant in period] == [row["period start"], row["period end"]]
    old, new = terms(row["old"], row["mode"]), terms(row["new"], row["mode"])
    first = outstanding(fees([span(EARLY, None, old, of=rhythm)], period), {}, period.start)
    assert [(plain(delta.amount), delta.at) for delta in first] == [(row["old"], period.start)]
    spans = [span(EARLY, at, old, of=rhythm), span(at, None, new, of=rhythm)]
    due = fees(spans, period)
    assert plain(due[0].amount) == row["old part"]
    assert [plain(fee.amount) for fee in due] == [row["old part"], row["new part"]]
    after = outstanding(due, booked_with({}, first), at)
    assert [(plain(delta.amount), delta.at) for delta in after] == [
        (row["credit"], at),
        (row["new part"], at),
    ]
    assert outstanding(due, booked_with(booked_with({}, first), after), period.end) == []


def history(row: Row) -> list[tuple[datetime, str]]:
    """(from when, quantity) of a row."""
    pairs = [pair.split(": ") for pair in row["quantities"].split(", ")]
    return [(datetime(2026, 3, int(day), tzinfo=UTC), quantity) for day, quantity in pairs]


def spans_until(changes: Sequence[tuple[datetime, str]], plan: PlanTerms) -> list[FeeSpan]:
    """The spans of quantities that follow each other; of two at one instant the later holds."""
    held = list(dict(changes).items())
    ends = [start for start, _ in held[1:]] + [None]
    return [span(start, end, plan, quantity) for (start, quantity), end in zip(held, ends, strict=True)]


TABLES = [
    (row, prorate)
    for heading, prorate in (("Quantities", True), ("Fees that are not prorated", False))
    for row in documented("proration.md", heading)
]


@pytest.mark.parametrize(("row", "prorate"), TABLES, ids=str)
def test_quantities_changed_in_their_time_book_their_differences(row: Row, prorate: bool) -> None:
    plan, changes = terms("", unit_amount="31", prorate=prorate), history(row)
    booked: Booking = {}
    amounts = []
    for now in sorted({start for start, _ in changes}):
        known = [change for change in changes if change[0] <= now]
        deltas = outstanding(fees(spans_until(known, plan)), booked, now)
        booked = booked_with(booked, deltas)
        amounts += [plain(delta.amount) for delta in deltas]
    assert ", ".join(amounts) == row["booked"]


@pytest.mark.parametrize(("row", "prorate"), TABLES, ids=str)
def test_quantities_in_arrears_are_booked_at_the_end(row: Row, prorate: bool) -> None:
    plan = terms("", unit_amount="31", prorate=prorate, timing="in_arrears")
    due = fees(spans_until(history(row), plan))
    assert outstanding(due, {}, MARCH.end - timedelta(seconds=1)) == []
    deltas = outstanding(due, {}, MARCH.end)
    assert ", ".join(plain(delta.amount) for delta in deltas) == row["arrears"]
    assert {delta.at for delta in deltas} == {MARCH.end}


def day(number: int, hour: int = 0) -> datetime:
    """An instant of March 2026."""
    return datetime(2026, 3, number, hour, tzinfo=UTC)


def amounts(due: Sequence[DueFee | FeeDelta]) -> list[str]:
    return [plain(fee.amount) for fee in due]


def test_a_pause_leaves_a_gap_that_costs_nothing() -> None:
    plan = terms("31")
    due = fees([span(day(1), day(11), plan), span(day(21), None, plan)])
    assert [(plain(fee.amount), fee.covers) for fee in due] == [
        ("10", Period(day(1), day(11))),
        ("11", Period(day(21), MARCH.end)),
    ]


def test_by_day_the_day_of_a_pause_is_free_and_that_of_a_resumption_counts() -> None:
    plan = terms("31", "day")
    assert amounts(fees([span(day(1), day(11, 9), plan), span(day(21, 18), None, plan)])) == ["10", "11"]
    assert amounts(fees([span(day(1), day(11, 9), plan), span(day(11, 18), None, plan)])) == ["10", "21"]


def test_by_day_the_day_of_an_end_counts() -> None:
    period = Period(MARCH.start, day(11, 9))
    assert amounts(fees([span(day(1), None, terms("31", "day"))], period, ends_at=day(11, 9))) == ["11"]


def test_a_trial_is_covered_by_no_fee() -> None:
    plan = terms("31")
    due = fees([span(day(1), day(5), plan), span(day(5), None, terms("62"))], begins_at=day(11))
    assert [(plain(fee.amount), fee.due_at) for fee in due] == [("42", day(11))]
    assert fees([span(day(1), None, plan)], begins_at=MARCH.end) == []


def test_what_nothing_is_given_back_for_covers_the_cycle() -> None:
    period = Period(MARCH.start, day(11))
    both = [{"key": "a", "amount": "31", "prorate": True}, {"key": "b", "amount": "31", "prorate": True}]
    both[1]["timing"] = "in_arrears"
    plan = read_plan({"plan": "p", "currency": "USD", "base_fees": both})
    due = fees([span(day(1), None, plan)], period, ends_at=day(11), advance_until=MARCH.end)
    assert [(fee.key, plain(fee.amount), fee.due_at) for fee in due] == [
        ("a", "31", day(1)),
        ("b", "10", day(11)),
    ]


def test_a_fee_that_becomes_one_in_arrears_is_given_back_and_due_later() -> None:
    booked = {("fee", day(1)): Booked(Decimal(31), MARCH.end, day(1), "in_advance")}
    due = fees([span(day(1), None, terms("31", timing="in_arrears"))])
    back = outstanding(due, booked, day(1))
    assert [(plain(delta.amount), delta.timing, delta.at) for delta in back] == [
        ("-31", "in_advance", day(1))
    ]
    assert amounts(outstanding(due, booked_with(booked, back), MARCH.end)) == ["31"]


def test_what_is_unused_goes_back_when_its_time_has_come() -> None:
    booked = {("fee", day(1)): Booked(Decimal(31), MARCH.end, day(1), "in_advance")}
    due = fees([span(day(1), None, terms("31"))], Period(MARCH.start, day(11)), ends_at=day(11))
    assert outstanding(due, booked, day(5)) == []
    assert [(plain(delta.amount), delta.at) for delta in outstanding(due, booked, day(20))] == [
        ("-21", day(11))
    ]


def test_a_correction_of_the_past_is_booked_now() -> None:
    booked = {("fee", day(1)): Booked(Decimal(31), MARCH.end, day(1), "in_advance")}
    for amount, difference in (("62", "31"), ("20", "-11")):
        deltas = outstanding(fees([span(day(1), None, terms(amount))]), booked, day(9))
        assert [(plain(delta.amount), delta.at) for delta in deltas] == [(difference, day(9))]


def test_credits_come_before_the_fees_that_they_help_to_pay() -> None:
    booked = {("fee", day(1)): Booked(Decimal(31), MARCH.end, day(1), "in_advance")}
    due = fees([span(day(1), day(11), terms("31")), span(day(11), None, terms("62"))])
    assert amounts(outstanding(due, booked, day(11))) == ["-21", "42"]


HOURS = st.integers(0, 31 * 24)
CHANGES = st.lists(st.tuples(HOURS, st.integers(0, 9), st.booleans()), max_size=6)


@given(changes=CHANGES, mode=st.sampled_from(["second", "day"]))
def test_whatever_was_booked_on_the_way_the_sum_is_what_the_whole_history_asks_for(
    changes: list[tuple[int, int, bool]], mode: str
) -> None:
    """Each change, made in its time (or some hours late), books differences; together they are the parts."""
    plan = terms("", mode, unit_amount="31.31")
    held = sorted((MARCH.start + timedelta(hours=hour), str(units), late) for hour, units, late in changes)
    held = [(MARCH.start, "1", False), *held]
    booked: Booking = {}
    for number, (start, _, is_late) in enumerate(held, start=1):
        if is_late and number < len(held):
            continue  # the worker comes with the next one
        known = [(at, units) for at, units, _ in held[:number]]
        booked = booked_with(booked, outstanding(fees(spans_until(known, plan)), booked, start))
    due = fees(spans_until([(at, units) for at, units, _ in held], plan))
    booked = booked_with(booked, outstanding(due, booked, MARCH.end))
    assert sum(one.amount for one in booked.values()) == sum(fee.amount for fee in due)
    assert outstanding(due, booked, MARCH.end) == []
    if mode == "second":
        exact = sum(
            Fraction(quantity) * Fraction("31.31") * Fraction(int((end - start).total_seconds()), 31 * 86400)
            for start, end, quantity in _parts([(at, units) for at, units, _ in held])
        )
        assert abs(exact - Fraction(sum(fee.amount for fee in due))) < Fraction(len(held), 10**17)


def _parts(held: list[tuple[datetime, str]]) -> list[tuple[datetime, datetime, str]]:
    rows = list(dict(held).items())
    ends = [min(start, MARCH.end) for start, _ in rows[1:]] + [MARCH.end]
    return [(start, end, units) for (start, units), end in zip(rows, ends, strict=True)]

"""Lists read what they show, not what there is: the rows that a statement touches, from its real plan.

The tables are filled with rows that only have what the statements look at; what the rows mean is tested
elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import BillingEntity, Customer
from accounts.scoping import OPERATOR, Viewer
from billing.models import Charge
from billing.reports.attention import denials, overspends
from billing.reports.refusals import Group, own_denial_groups
from core import clock
from core.partitions import ensure_partitions
from tests.api_client import Api
from tests.statements import rows_read

pytestmark = pytest.mark.django_db
CUSTOMERS, EACH = 40, 500
ALL = CUSTOMERS * EACH
FEW = EACH  # of 20,000: what one customer has
FIRST = datetime(2026, 1, 25, tzinfo=UTC)
STEP = timedelta(seconds=60)
NOW = FIRST + ALL * STEP
CHARGES = """
    WITH rows AS (
        SELECT n, %(first)s::timestamptz + n * %(step)s::interval AS at, n %% %(customers)s AS owner
        FROM generate_series(0, %(last)s) n),
    payers AS (
        SELECT id AS payer_id, customer_id, row_number() OVER (ORDER BY id) - 1 AS owner
        FROM accounts_billingentity),
    made AS (
        SELECT *, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
                   || '7' || lpad(to_hex(n), 19, '0'))::uuid AS id
        FROM rows JOIN payers USING (owner))
    INSERT INTO billing_charge (customer_id, id, recorded_at, seq, billing_entity_id, event_id,
        event_recorded_at, occurred_at, amount, currency, lines, funding, settled_after, held_after,
        available_after)
    SELECT customer_id, id, at, n, payer_id, id, at, at - interval '5 minutes', 1, 'USD', '[]', '[]', 0, 0, 0
    FROM made"""
DENIALS = """
    INSERT INTO billing_denial (customer_id, billing_entity_id, denied_at, occurred_at, idempotency_key,
        event, reason, level, level_id, expected_amount, available, retryable)
    SELECT customer_id, billing_entity_id, recorded_at, recorded_at, seq::text, 'completion',
        'insufficient_funds', 'payer', '', 1, 0, true
    FROM billing_charge ORDER BY recorded_at"""
OVERSPEND = """
    INSERT INTO billing_overspend (customer_id, billing_entity_id, seq, charge_id, amount, cause, recorded_at)
    SELECT customer_id, billing_entity_id, seq, id, 1, 'reported', recorded_at FROM billing_charge"""

TOP_UPS = """
    INSERT INTO billing_topup (customer_id, billing_entity_id, seq, amount, price_currency, grant_id,
        reference, created_at, created_by)
    SELECT customer_id, billing_entity_id, seq, 1, '', seq, '', recorded_at, '' FROM billing_charge"""
ADJUSTMENTS = """
    INSERT INTO billing_adjustment
        (customer_id, billing_entity_id, seq, amount, reason, created_at, created_by)
    SELECT customer_id, billing_entity_id, seq, 1, 'r', recorded_at, '' FROM billing_charge"""


@pytest.fixture(autouse=True)
def _filled() -> Iterator[None]:
    clock.use(lambda: NOW)
    ensure_partitions(FIRST, NOW)
    customers = Customer.objects.bulk_create(
        Customer(name=f"C{number}", external_id=f"c{number}", created_at=FIRST) for number in range(CUSTOMERS)
    )
    BillingEntity.objects.bulk_create(
        BillingEntity(
            customer=customer, name="P", external_id=f"p{customer.pk}", currency="USD", created_at=FIRST
        )
        for customer in customers
    )
    values: Mapping[str, Any] = {"first": FIRST, "step": STEP, "customers": CUSTOMERS, "last": ALL - 1}
    with connection.cursor() as cursor:
        for statement in (CHARGES, DENIALS, OVERSPEND):
            cursor.execute(statement, values if statement is CHARGES else None)
            assert cursor.rowcount == ALL
        for table in ("billing_charge", "billing_denial", "billing_overspend"):
            cursor.execute(f"ANALYZE {table}")
    yield
    clock.use(None)


@pytest.fixture
def api() -> Api:
    return Api("read")


def touched(table: str, work: Callable[[], object]) -> int:
    """How many rows of `table` the statements of `work` looked at, those that were filtered out too."""
    with CaptureQueriesContext(connection) as captured:
        work()
    selects = [one["sql"] for one in captured if f"{table}" in one["sql"]]
    assert selects, "the table is asked"
    total = 0
    for select in selects:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + select.replace("%", "%%"))
            (found,) = cursor.fetchone()
        plan = found if isinstance(found, list) else json.loads(found)
        total += rows_read(plan[0]["Plan"], table)
    return total


def listed(api: Api, path: str, **params: str) -> list[dict[str, Any]]:
    answer = api.get(path, **params)
    assert answer.status_code == 200, answer.content
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


def test_the_measure_sees_a_statement_that_reads_everything() -> None:
    assert touched("billing_charge", lambda: list(Charge.objects.filter(amount=7))) == ALL


def test_the_newest_charges_of_all_are_found_without_sorting_all(api: Api) -> None:
    assert touched("billing_charge", lambda: listed(api, "/v1/charges", limit="10")) <= FEW


@pytest.mark.parametrize(
    "params",
    [
        {"recorded_to": "2026-01-26T00:00:00Z"},
        {"recorded_from": "2026-02-03T00:00:00Z", "recorded_to": "2026-02-03T01:00:00Z"},
        {"customer": "c7"},
        {"billing_entity": "p"},
    ],
)
def test_a_narrower_question_about_charges_reads_no_more(api: Api, params: dict[str, str]) -> None:
    if "billing_entity" in params:
        params = {"billing_entity": BillingEntity.objects.earliest("pk").public_id}
    assert touched("billing_charge", lambda: listed(api, "/v1/charges", limit="10", **params)) <= FEW


@pytest.mark.parametrize(
    ("params", "first", "size"),
    [
        ({}, ALL - 1, 10),
        ({"recorded_to": "2026-01-25T00:05:00Z"}, 4, 5),
        ({"recorded_from": "2026-01-31T23:57:00Z", "recorded_to": "2026-02-01T00:03:00Z"}, 10082, 6),
        ({"occurred_to": "2026-01-24T23:58:00Z"}, 2, 3),
        ({"occurred_from": "2026-02-01T00:00:00Z", "occurred_to": "2026-02-01T00:02:00Z"}, 10086, 2),
        ({"recorded_from": "2027-01-01T00:00:00Z"}, None, 0),
        ({"recorded_from": "2026-02-02T00:00:00Z", "recorded_to": "2026-02-01T00:00:00Z"}, None, 0),
    ],
)
def test_the_charges_of_all_are_those_that_were_asked_for(
    api: Api, params: dict[str, str], first: int | None, size: int
) -> None:
    rows = listed(api, "/v1/charges", limit="10", **params)
    numbers = [row["seq"] for row in rows]
    assert numbers == ([] if first is None else list(range(first, first - size, -1)))


def test_pages_of_all_customers_charges_follow_each_other_over_the_end_of_a_month(api: Api) -> None:
    window = {"recorded_from": "2026-01-31T23:50:00Z", "recorded_to": "2026-02-01T00:10:00Z"}
    found: list[int] = []
    cursor: dict[str, str] = {}
    sizes = []
    while True:
        answer = api.get("/v1/charges", limit="7", **window, **cursor).json()
        found += [row["seq"] for row in answer["data"]]
        sizes.append(len(answer["data"]))
        if not answer["has_more"]:
            assert answer["next_cursor"] is None
            break
        cursor = {"cursor": answer["next_cursor"]}
    assert found == list(range(10089, 10069, -1))
    assert sizes == [7, 7, 6]


def test_a_page_that_is_exactly_full_has_no_page_after_it(api: Api) -> None:
    answer = api.get("/v1/charges", limit="5", recorded_to="2026-01-25T00:05:00Z").json()
    assert (len(answer["data"]), answer["has_more"], answer["next_cursor"]) == (5, False, None)


def test_a_page_of_one_customer_may_not_be_continued_with_the_cursor_of_another_list(api: Api) -> None:
    cursor = api.get("/v1/charges", limit="2").json()["next_cursor"]
    assert api.get("/v1/denials", cursor=cursor).status_code == 400
    tampered = cursor[:-2] + ("aa" if cursor[-2:] != "aa" else "bb")
    assert api.get("/v1/charges", cursor=tampered).status_code == 400


def test_refusals_and_overspend_of_the_last_day_are_found_by_time() -> None:
    day = 24 * 60
    assert touched("billing_denial", lambda: denials(OPERATOR, NOW)) <= day
    assert touched("billing_overspend", lambda: overspends(OPERATOR, NOW - timedelta(days=1))) <= day
    assert sum(trouble.number for trouble in denials(OPERATOR, NOW)) > 0


def test_a_customers_own_refusals_are_found_by_its_time() -> None:
    payer = BillingEntity.objects.earliest("pk")
    viewer, since = Viewer(customer_ids=frozenset({payer.customer_id})), NOW - timedelta(days=10)

    def work() -> list[Group]:
        return own_denial_groups(viewer, payer.customer_id, {payer.pk: payer}, since)

    number = 10 * 24 * 60 // CUSTOMERS
    assert touched("billing_denial", work) <= number
    assert [group.number for group in work()] == [number]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"denied_to": "2026-01-25T01:00:00Z"},
        {"denied_from": "2026-02-03T00:00:00Z", "denied_to": "2026-02-03T01:00:00Z"},
        {"billing_entity": "p"},
    ],
)
def test_refusals_are_listed_by_an_index(api: Api, params: dict[str, str]) -> None:
    if "billing_entity" in params:
        params = {"billing_entity": BillingEntity.objects.earliest("pk").public_id}
    rows: list[dict[str, Any]] = []
    assert (
        touched("billing_denial", lambda: rows.extend(listed(api, "/v1/denials", limit="10", **params)))
        <= FEW
    )
    assert len(rows) == 10


@pytest.mark.parametrize("noun", ["top-ups", "adjustments"])
def test_what_people_moved_is_found_by_its_payer(api: Api, noun: str) -> None:
    table = "billing_" + noun.replace("-", "").removesuffix("s")
    with connection.cursor() as cursor:
        for statement in (TOP_UPS, ADJUSTMENTS):
            cursor.execute(statement)
        cursor.execute(f"ANALYZE {table}")
    payer = BillingEntity.objects.earliest("pk").public_id
    rows: list[dict[str, Any]] = []

    def work() -> None:
        rows.extend(listed(api, f"/v1/{noun}", limit="10", billing_entity=payer))

    assert touched(table, work) <= FEW
    assert len(rows) == 10
    assert {row["billing_entity"] for row in rows} == {payer}

"""Statements that fail in the middle of a transaction, and connections that are lost there.

A trigger does the harm, in the database, where the path cannot see it coming. What failed is told, what did
not is charged, and whoever sends everything again gets each charge once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection

from billing.charging import Charged, Failed, Outcome, charge_many, charge_one
from billing.charging.requests import Mode
from billing.models import Charge
from core import pipeline
from core.api.errors import as_tollgate_error
from core.database_errors import Unavailable
from core.sql import driver, execute
from metering.models import IdempotencyKey, UsageEvent
from pricing.models import PlanVersion
from tests.billing.world import Tenant, balance, make_meter, make_tenant, make_version, request
from tests.concurrency.callers import Api, call
from tests.concurrency.crowd import at_once

PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
HARM = """
    CREATE SEQUENCE harms;
    CREATE FUNCTION harm() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF {when} AND (SELECT nextval('harms')) <= {times} THEN {harm}; END IF;
        RETURN NEW;
    END $$;
    CREATE {kind} TRIGGER harm AFTER INSERT ON {table} {timing} FOR EACH ROW EXECUTE FUNCTION harm()"""
REPAIR = """
    DROP TRIGGER IF EXISTS harm ON {table};
    DROP FUNCTION IF EXISTS harm();
    DROP SEQUENCE IF EXISTS harms"""
KEYS = "metering_idempotencykey"
RAISE = "RAISE EXCEPTION 'harm' USING ERRCODE = '{code}'"
KILL = "PERFORM pg_terminate_backend(pg_backend_pid())"
SLEEP = "PERFORM pg_sleep(30)"
BAD = "NEW.key LIKE 'bad%'"
Harm = Callable[..., None]


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([PER_TOKEN])


@pytest.fixture
def harm(transactional_db: None) -> Any:
    """`harm(RAISE, at_commit=True, times=1)`: the next row for which `when` holds does it."""

    def make(harm: str, *, when: str = BAD, times: int = 10**6, at_commit: bool = False) -> None:
        kind, timing = ("CONSTRAINT", "DEFERRABLE INITIALLY DEFERRED") if at_commit else ("", "")
        with connection.cursor() as cursor:
            cursor.execute(
                HARM.format(table=KEYS, harm=harm, when=when, times=times, kind=kind, timing=timing)
            )

    yield make
    repair()


def repair() -> None:
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(REPAIR.format(table=KEYS))


def requests(tenant: Tenant, *keys: str, mode: Mode = Mode.ASK) -> list[Any]:
    return [request(tenant, key, mode, properties={"tokens": 1}) for key in keys]


def kinds(outcomes: list[Outcome]) -> Counter[type]:
    return Counter(type(outcome) for outcome in outcomes)


def good(count: int) -> list[str]:
    return [f"good-{number}" for number in range(count)]


@pytest.mark.parametrize("at_commit", [False, True])
@pytest.mark.parametrize("code", ["P0001", "22003", "23514", "XX000"])
def test_one_item_that_the_database_refuses_sinks_no_other(
    version: PlanVersion, harm: Harm, code: str, at_commit: bool
) -> None:
    tenant = make_tenant(version, balance="100")
    harm(RAISE.format(code=code), at_commit=at_commit)
    outcomes = charge_many(requests(tenant, *good(5), "bad", *(f"more-{number}" for number in range(4))))
    assert [type(outcome) for outcome in outcomes] == [Charged] * 5 + [Failed] + [Charged] * 4
    assert balance(tenant) == Decimal("99.91")
    assert UsageEvent.objects.count() == Charge.objects.count() == IdempotencyKey.objects.count() == 9
    repair()
    (outcome,) = charge_many(requests(tenant, "bad"))
    assert isinstance(outcome, Charged)
    assert (outcome.is_replay, outcome.amount) == (False, Decimal("0.01"))


@pytest.mark.parametrize("mode", [Mode.ASK, Mode.REPORT])
@pytest.mark.parametrize("at_commit", [False, True])
def test_a_connection_lost_once_costs_no_answer(
    version: PlanVersion, harm: Harm, at_commit: bool, mode: Mode
) -> None:
    tenant = make_tenant(version, balance="100")
    harm(KILL, times=1, at_commit=at_commit)
    outcomes = charge_many(requests(tenant, *good(5), "bad", mode=mode))
    assert kinds(outcomes) == {Charged: 6}
    assert [outcome.seq for outcome in outcomes if isinstance(outcome, Charged)] == [2, 3, 4, 5, 6, 7]
    assert balance(tenant) == Decimal("99.94")


@pytest.mark.parametrize("at_commit", [False, True])
def test_while_the_connection_is_lost_every_time_the_caller_hears_that_it_is_us(
    version: PlanVersion, harm: Harm, at_commit: bool
) -> None:
    tenant, api = make_tenant(version, balance="100"), Api()
    harm(KILL, when="true", at_commit=at_commit)
    events = [call(tenant, key) for key in good(5)]
    for answer in (api.charge(events[0]), api.report(events)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert balance(tenant) == 100
    repair()
    answer = api.report(events).json()
    assert (answer["accepted"], answer["duplicates"], answer["errors"]) == (5, 0, [])
    assert api.charge(events[0]).status_code == 200
    assert balance(tenant) == Decimal("99.95")


def test_what_was_charged_before_the_loss_is_a_replay_after_it(version: PlanVersion, harm: Harm) -> None:
    tenant, api = make_tenant(version, balance="100"), Api()
    events = [call(tenant, key) for key in [*good(4), "bad", "last"]]
    harm(KILL)
    assert api.report(events).status_code == 503
    assert balance(tenant) == Decimal("99.96")
    repair()
    answer = api.report(events).json()
    assert (answer["accepted"], answer["duplicates"]) == (2, 4)
    assert balance(tenant) == Decimal("99.94")


def test_a_statement_that_takes_too_long_is_ours_and_charges_nothing(
    version: PlanVersion, harm: Harm
) -> None:
    tenant = make_tenant(version, balance="100")
    harm(SLEEP)
    execute(driver(), "SET statement_timeout = '200ms'")
    with pytest.raises(psycopg.errors.QueryCanceled) as raised:
        charge_many(requests(tenant, "bad"))
    assert isinstance(as_tollgate_error(raised.value), Unavailable)
    assert balance(tenant) == 100
    assert execute(driver(), "SELECT 1").fetchall() == [(1,)], "the connection goes on"
    repair()
    assert kinds(charge_many(requests(tenant, "bad"))) == {Charged: 1}


def test_a_lock_that_is_not_given_in_time_is_told_as_busy(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="100")
    params = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: params[name] for name in names if name in params}) as other:
        other.execute("SELECT 1 FROM billing_ledgeraccount FOR UPDATE")
        execute(driver(), "SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable) as raised:
            charge_many(requests(tenant, "a"))
    assert as_tollgate_error(raised.value).code == "busy"
    assert kinds(charge_many(requests(tenant, "a"))) == {Charged: 1}
    assert balance(tenant) == Decimal("99.99")


@pytest.mark.parametrize(("size", "bad"), [(100, (0, 99)), (600, (0, 300, 599)), (1200, (5, 998, 1199))])
def test_a_large_batch_with_few_that_fail_loses_only_those(
    version: PlanVersion, harm: Harm, size: int, bad: tuple[int, ...]
) -> None:
    """100 rows go in by COPY; 600 are cut into shards; 1,200 are more than one transaction takes."""
    tenants = [make_tenant(version, balance="100") for _ in range(7)]
    keys = [f"bad-{number}" if number in bad else f"good-{number}" for number in range(size)]
    events = [call(tenants[number % 7], key, 1 + number % 3) for number, key in enumerate(keys)]
    harm(RAISE.format(code="22003"))
    answer = Api().report(events).json()
    assert (answer["accepted"], answer["rejected"]) == (size - len(bad), len(bad))
    assert [error["index"] for error in answer["errors"]] == list(bad)
    assert {error["error"]["code"] for error in answer["errors"]} == {"number_out_of_range"}
    spent = [
        sum(1 + number % 3 for number in range(index, size, 7) if number not in bad) for index in range(7)
    ]
    assert [balance(tenant) for tenant in tenants] == [100 - Decimal(used) / 100 for used in spent]


class LostAnswers:
    """The server commits, and the answer is lost on its way: the worst moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.left = times
        self._read = pipeline._read
        monkeypatch.setattr(pipeline, "_read", self.read)

    def read(self, libpq: Any) -> Any:
        results = self._read(libpq)
        if self.left and results[-1].command_status == b"COMMIT":
            self.left -= 1
            libpq.finish()
            raise psycopg.OperationalError("lost")
        return results


@pytest.mark.parametrize("size", [1, 5, 130])
def test_a_commit_whose_answer_was_lost_is_not_charged_again(
    version: PlanVersion, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    tenant = make_tenant(version, balance="100")
    lost = LostAnswers(monkeypatch, times=1)
    outcomes = charge_many(requests(tenant, *good(size)))
    assert lost.left == 0
    assert all(isinstance(outcome, Charged) and outcome.is_replay for outcome in outcomes)
    assert balance(tenant) == 100 - Decimal(size) / 100
    assert Charge.objects.count() == size


def test_callers_who_share_a_commit_that_was_lost_are_charged_once_each(
    version: PlanVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, api = make_tenant(version, balance="100"), Api()
    lost = LostAnswers(monkeypatch, times=3)
    events = [call(tenant, key) for key in good(24)]
    statuses = [answer.status_code for answer in at_once([partial(api.charge, event) for event in events])]
    assert set(statuses) <= {200, 201, 503}
    again = [api.charge(event).status_code for event in events]
    assert lost.left == 0
    assert set(again) <= {200, 201}
    assert balance(tenant) == Decimal("99.76")
    assert Charge.objects.count() == 24


def test_a_single_charge_over_a_connection_that_is_gone_is_made_over_a_new_one(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="100")
    (first,) = requests(tenant, "a")
    assert isinstance(charge_one(first), Charged)
    driver().pgconn.finish()
    (second,) = requests(tenant, "b")
    assert isinstance(charge_one(second), Charged)
    assert balance(tenant) == Decimal("99.98")


def test_statements_that_the_server_has_forgotten_are_prepared_again(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="100")
    assert kinds(charge_many(requests(tenant, "a"))) == {Charged: 1}
    driver().execute("DEALLOCATE ALL")
    assert kinds(charge_many(requests(tenant, "b"))) == {Charged: 1}
    assert kinds(charge_many(requests(tenant, *good(3)))) == {Charged: 3}
    assert balance(tenant) == Decimal("99.95")


def test_a_column_that_a_migration_widens_under_a_running_process_stops_no_charge(
    version: PlanVersion,
) -> None:
    tenant = make_tenant(version, balance="100")
    assert kinds(charge_many(requests(tenant, "a"))) == {Charged: 1}
    for digits in (61, 60):  # there and back
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE billing_creditgrant ALTER remaining TYPE numeric({digits}, 18)")
        keys = good(digits)
        assert kinds(charge_many(requests(tenant, *keys))) == {Charged: digits}
    assert balance(tenant) == 100 - Decimal(1 + 61) / 100

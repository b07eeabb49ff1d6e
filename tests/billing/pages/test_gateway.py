"""The page Gateway: exposure by payer, access logs, and lines that nobody could settle."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.keys import issue_api_key
from accounts.users import add_member, create_user
from billing.access_log.ingesting import Ingester
from pricing.models import PlanVersion
from tests.billing.access_log.log_lines import append, line, own
from tests.billing.pages.conftest import signed
from tests.billing.world import Tenant, make_tenant

pytestmark = pytest.mark.django_db
STATEMENTS_MAX = 12


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "tollgate.log"


def passes(tenant: Tenant, log: Path, tokens: int, calls: int = 1) -> None:
    """Calls that nobody decided, settled."""
    key = issue_api_key(workspace=tenant.workspace, name="caller").secret
    usage = f'{{"tokens": {tokens}}}'
    append(log, *[line(caller=f"Bearer {key}", usage=usage) for _ in range(calls)])
    Ingester(log).run()


def shown(client: Client) -> str:
    answer = client.get("/gateway")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_without_anything_it_says_that_all_is_well(staff: Client, acme: Tenant) -> None:
    text = shown(staff)
    for sentence in ("Every call was decided", "No log has been read", "Every line was settled"):
        assert sentence in text


def test_exposure_is_shown_by_payer_with_the_part_below_the_floor(
    staff: Client, acme: Tenant, log: Path
) -> None:
    passes(acme, log, 2600, calls=2)
    text = shown(staff)
    assert acme.payer.name in text
    assert ">30.50</span>" in text
    assert ">10.50</span>" in text


def test_logs_are_shown_with_how_far_they_are_read(staff: Client, acme: Tenant, log: Path) -> None:
    append(log, own(acme), own(acme, status="502"))
    Ingester(log).run()
    text = shown(staff)
    assert str(log) in text
    assert "1</span> events" in text or "1 events" in text
    assert f"{log.stat().st_size}" in text


def test_lines_that_could_not_be_settled_are_shown_escaped_and_without_keys(
    staff: Client, acme: Tenant, log: Path
) -> None:
    log.write_bytes(b'{"request_id": "a", "caller": "s3cret", "time": "<script>"}\nplain nonsense\n')
    Ingester(log).run()
    text = shown(staff)
    assert "plain nonsense" in text
    assert "&lt;script&gt;" in text
    assert "s3cret" not in text
    assert "Not JSON" in text


def test_members_find_no_such_page(acme: Tenant) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, "owner")
    assert signed(user).get("/gateway").status_code == 404


def test_the_page_costs_the_same_however_much_passed(
    staff: Client,
    acme: Tenant,
    version: PlanVersion,
    log: Path,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(4):
        tenant = make_tenant(version, balance="1", overdraft=Decimal(0))
        passes(tenant, log.with_name(f"{number}.log"), 500, calls=3)
    with django_assert_max_num_queries(STATEMENTS_MAX):
        shown(staff)

"""Who a call belongs to: by key, workspace and payer, which must agree, at the instant it happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.attribution import Attribution, attribute
from accounts.directory import directory
from accounts.models import ApiKey, BillingEntity, Customer, PayerAssignment, Workspace
from metering.events import parse_event

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECRET = "sk-the-operators-own-key"


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    """The process's copy may hold rows of earlier tests; the charge path compares versions, this does not."""
    directory.clear()


@dataclass
class Side:
    """A customer with a workspace, its payer and a key."""

    customer: Customer
    workspace: Workspace
    payer: BillingEntity
    key: ApiKey


def side(name: str, fingerprint: str) -> Side:
    customer = Customer.objects.create(name=name, created_at=NOW)
    workspace = Workspace.objects.create(
        customer=customer, name="W", external_id=f"{name}-team", created_at=NOW
    )
    payer = BillingEntity.objects.create(
        customer=customer, name="P", external_id=f"{name}-payer", currency="USD", created_at=NOW
    )
    PayerAssignment.objects.create(
        customer=customer, workspace=workspace, billing_entity=payer, created_at=NOW
    )
    key = ApiKey.objects.create(
        customer=customer,
        workspace=workspace,
        name="K",
        kind="registered",
        fingerprint=fingerprint,
        created_at=NOW,
    )
    return Side(customer, workspace, payer, key)


@pytest.fixture
def acme() -> Side:
    return side("acme", _mark(SECRET))


@pytest.fixture
def other() -> Side:
    return side("other", "cd" * 32)


def _mark(secret: str) -> str:
    raw = {"idempotency_key": "k", "event": "e", "api_key": secret}
    return str(parse_event(raw, NOW).api_key)


def found(*, at: datetime = NOW, **names: Any) -> Attribution:
    """What attribution makes of an event that names these."""
    raw = {"idempotency_key": "k", "event": "call", "occurred_at": at.isoformat(), **names}
    (attribution,) = attribute([parse_event(raw, NOW)])
    return attribution


def who(attribution: Attribution) -> tuple[int | None, int | None, int | None]:
    """(workspace, key, payer), of a call without a problem."""
    assert attribution.problem is None, attribution.problem
    payer = attribution.payer
    return attribution.workspace_id, attribution.api_key_id, payer.id if payer else None


def problem(attribution: Attribution) -> tuple[int, str, str | None]:
    error = attribution.problem
    assert error is not None
    return error.status, error.code, error.param


def test_a_workspace_is_named_by_either_id(acme: Side) -> None:
    for name in (acme.workspace.public_id, "acme-team"):
        attribution = found(workspace=name)
        assert who(attribution) == (acme.workspace.pk, None, acme.payer.pk)
        assert attribution.workspace == acme.workspace.public_id
        assert attribution.named_payer_id is None


def test_a_key_is_named_by_secret_fingerprint_or_id(acme: Side) -> None:
    for name in (SECRET, acme.key.fingerprint, acme.key.public_id):
        assert who(found(api_key=name)) == (acme.workspace.pk, acme.key.pk, acme.payer.pk)


def test_a_payer_is_named_by_either_id_and_needs_no_workspace(acme: Side) -> None:
    for name in (acme.payer.public_id, "acme-payer"):
        attribution = found(billing_entity=name)
        assert who(attribution) == (None, None, acme.payer.pk)
        assert attribution.named_payer_id == acme.payer.pk


def test_all_three_together_agree(acme: Side) -> None:
    attribution = found(workspace="acme-team", api_key=SECRET, billing_entity="acme-payer")
    assert who(attribution) == (acme.workspace.pk, acme.key.pk, acme.payer.pk)


def test_a_key_of_another_workspace_is_a_mismatch_whose_customer_is_known(acme: Side, other: Side) -> None:
    attribution = found(workspace="other-team", api_key=SECRET)
    assert problem(attribution) == (422, "mismatch", "workspace")
    assert attribution.config is not None
    assert attribution.config.customer_id == acme.customer.pk
    assert attribution.payer is None


def test_another_payer_of_the_customer_is_a_mismatch(acme: Side) -> None:
    second = BillingEntity.objects.create(
        customer=acme.customer, name="Second", currency="USD", created_at=NOW
    )
    each: list[dict[str, Any]] = [{"workspace": "acme-team"}, {"api_key": SECRET}]
    for names in each:
        attribution = found(billing_entity=second.public_id, **names)
        assert problem(attribution) == (422, "mismatch", "billing_entity")


def test_another_customers_payer_is_not_told_from_one_that_there_is_not(acme: Side, other: Side) -> None:
    each: list[dict[str, Any]] = [{"workspace": "acme-team"}, {"api_key": SECRET}]
    for names in each:
        theirs = found(billing_entity="other-payer", **names)
        nobodys = found(billing_entity="nobodys-payer", **names)
        assert problem(theirs) == problem(nobodys) == (404, "unknown_payer", "billing_entity")
        assert str(theirs.problem) == str(nobodys.problem)
        assert theirs.named_payer_id is nobodys.named_payer_id is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"workspace": "nowhere"}, (404, "unknown_workspace", "workspace")),
        ({"workspace": "ws_zzzzzzzz"}, (404, "unknown_workspace", "workspace")),
        ({"workspace": "acme-payer"}, (404, "unknown_workspace", "workspace")),
        ({"api_key": "sk-unknown"}, (404, "unknown_key", "api_key")),
        ({"api_key": "key_zzzzzzzz"}, (404, "unknown_key", "api_key")),
        ({"api_key": "ef" * 32}, (404, "unknown_key", "api_key")),
        ({"billing_entity": "nobody"}, (404, "unknown_payer", "billing_entity")),
        ({"workspace": "acme-team", "api_key": "sk-unknown"}, (404, "unknown_key", "api_key")),
    ],
)
def test_what_there_is_not_is_unknown_by_its_name(
    acme: Side, names: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    attribution = found(**names)
    assert problem(attribution) == expected
    assert attribution.payer is None


def test_who_paid_at_the_instant_pays_to_the_microsecond(acme: Side) -> None:
    later = BillingEntity.objects.create(customer=acme.customer, name="L", currency="USD", created_at=NOW)
    PayerAssignment.objects.filter(workspace=acme.workspace).update(ends_at=NOW)
    PayerAssignment.objects.create(
        customer=acme.customer,
        workspace=acme.workspace,
        billing_entity=later,
        starts_at=NOW,
        ends_at=NOW + DAY,
        created_at=NOW,
    )
    moment = timedelta(microseconds=1)
    assert who(found(workspace="acme-team", at=NOW - moment))[2] == acme.payer.pk
    assert who(found(workspace="acme-team", at=NOW))[2] == later.pk
    assert who(found(workspace="acme-team", at=NOW + DAY - moment))[2] == later.pk
    unpaid = found(workspace="acme-team", at=NOW + DAY)
    assert problem(unpaid) == (422, "no_payer", "workspace")
    assert unpaid.workspace_id == acme.workspace.pk
    former = found(workspace="acme-team", billing_entity="acme-payer", at=NOW)
    assert problem(former) == (422, "mismatch", "billing_entity")


@pytest.mark.parametrize("end", ["revoked_at", "expires_at"])
def test_a_key_counts_for_what_happened_before_its_end(acme: Side, end: str) -> None:
    other_end = {"revoked_at": "expires_at", "expires_at": "revoked_at"}[end]
    ApiKey.objects.filter(pk=acme.key.pk).update(**{end: NOW, other_end: NOW + DAY})
    assert who(found(api_key=SECRET, at=NOW - timedelta(microseconds=1)))[1] == acme.key.pk
    for at in (NOW, NOW + DAY):
        ended = found(api_key=SECRET, at=at)
        assert problem(ended) == (403, "key_revoked", "api_key")
        assert ended.config is not None  # a replay of an earlier call is still answered


def test_many_calls_cost_as_many_statements_as_one_and_then_none(
    acme: Side, other: Side, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    names = [
        {"workspace": "acme-team"},
        {"workspace": other.workspace.public_id},
        {"api_key": SECRET},
        {"billing_entity": "other-payer"},
        {"api_key": other.key.public_id, "billing_entity": "other-payer"},
    ]
    calls = [parse_event({"idempotency_key": "k", "event": "e", **name}, NOW) for name in names * 20]
    directory.clear()
    with django_assert_num_queries(5):
        first = attribute(calls)
    with django_assert_num_queries(0):
        second = attribute(calls)
    expected = [acme, other, acme, other, other] * 20
    for attributions in (first, second):
        assert [found.payer.id for found in attributions if found.payer] == [one.payer.pk for one in expected]


def test_one_bad_call_spoils_no_other(acme: Side) -> None:
    names = [{"workspace": "nowhere"}, {"workspace": "acme-team"}, {"api_key": "sk-unknown"}]
    calls = [parse_event({"idempotency_key": "k", "event": "e", **name}, NOW) for name in names]
    bad, good, worse = attribute(calls)
    assert who(good) == (acme.workspace.pk, None, acme.payer.pk)
    assert (problem(bad)[1], problem(worse)[1]) == ("unknown_workspace", "unknown_key")

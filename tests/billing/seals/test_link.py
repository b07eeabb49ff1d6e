"""The seals as a link of reconciliation."""

from __future__ import annotations

import pytest

from billing.erasures import request_erasure, run_erasures
from billing.reconciliation.batches import spans_of, whole
from billing.reconciliation.checking import findings_of
from billing.reconciliation.link import Checked, Scope
from billing.reconciliation.links import LINKS, seals
from billing.seals.sealing import seal_due
from core.sql import driver
from tests.billing.damage import disarmed
from tests.billing.seals.sealed import NOW, use
from tests.billing.world import Tenant, make_tenant


def checked() -> Checked:
    raw = driver()
    return seals.check(Scope(raw, whole(spans_of(raw)), NOW))


def told() -> list[tuple[str, str, int]]:
    return [(each.type, each.subject, int(each.difference)) for each in checked().findings]


def test_it_is_one_of_the_links() -> None:
    assert seals.LINK in LINKS
    assert set(seals.LINK.types) == set(seals.TYPES.values())


def test_a_sealed_book_agrees(tenant: Tenant) -> None:
    make_tenant(None, balance="3")
    seal_due(NOW)
    assert (checked().rows, checked().findings) == (11, [])


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE billing_charge SET amount = 9 WHERE seq = 2", [("row_changed", "charge 2", -1)]),
        ("DELETE FROM billing_charge WHERE seq = 2", [("row_missing", "charge 2", -1)]),
        (
            "UPDATE billing_charge SET seq = 4 WHERE seq = 2",
            [("row_missing", "charge 2", -1), ("row_added", "charge 4", 1)],
        ),
        (
            "UPDATE billing_seal SET sealed_at = sealed_at - interval '1 s'",
            [("seal_broken", "seal 1 to 4", -1)],
        ),
        ("UPDATE billing_seal SET from_seq = 2", [("seal_unchained", "seal 2 to 4", -1)]),
    ],
)
def test_each_type_is_found(tenant: Tenant, statement: str, found: list[tuple[str, str, int]]) -> None:
    seal_due(NOW)
    with disarmed() as cursor:
        cursor.execute(statement)
    assert set(found) <= set(told())


def test_a_finding_says_which_row_under_which_seal(tenant: Tenant) -> None:
    seal_due(NOW)
    with disarmed() as cursor:
        cursor.execute("UPDATE billing_transfer SET amount = 9 WHERE seq = 3")
    (finding,) = checked().findings
    assert finding.detail == {
        "seal": {"from": 1, "to": 4},
        "row": "transfer",
        "number": 3,
        "position": 0,
    }
    assert (finding.customer_id, finding.payer_id) == (tenant.customer.pk, tenant.payer.pk)


def test_of_very_many_only_some_are_told(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "FINDINGS_MAX", 2)
    use(tenant, 5, first=3)
    seal_due(NOW)
    with disarmed() as cursor:
        cursor.execute("UPDATE billing_charge SET amount = 9")
    assert [each.subject for each in checked().findings] == ["charge 2", "charge 3"]


def test_all_links_agree_after_a_persons_data_was_erased(tenant: Tenant) -> None:
    request_erasure(tenant.customer, user="olga", properties=["who"], reason="r")
    assert run_erasures(NOW) == 1
    assert list(findings_of(driver(), NOW)) == []

"""Reconciliation's pages: the row of checks, a discrepancy with both sides, its repair, and the outside."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.keys import register_fingerprint
from accounts.secrets import fingerprint
from accounts.users import add_member, create_user
from billing.models import Discrepancy, GatewayCount, LinkDrift, ProviderPayment, ReconciliationRun, Repair
from billing.reconciliation.runs import run_unfinished
from core import clock
from tests.billing.pages.conftest import NOW, Sign, now_is, signed
from tests.billing.pages.reading import page, read, rows
from tests.billing.repairs.broken import corrupt
from tests.billing.world import Tenant, charge
from tests.statements import budgets

pytestmark = pytest.mark.django_db
BUMP = "UPDATE billing_ledgeraccount SET balance = balance + 25 WHERE kind = 'wallet'"
BUDGETS: Final = budgets("reconciliation pages")


@pytest.fixture
def broken(acme: Tenant, staff: Client) -> Discrepancy:
    """Acme's wallet was raised by 25 without an entry, and a run has found it."""
    charge(acme, "a", properties={"tokens": 300})
    corrupt(BUMP)
    reconcile(staff)
    return Discrepancy.objects.get(type="balance")


def reconcile(staff: Client) -> None:
    """Ask for a full run, and let a worker take it on."""
    assert staff.post("/reconciliation/start/full").status_code == 302
    assert run_unfinished() == 1


def test_before_any_run_nothing_is_said_to_agree(staff: Client) -> None:
    text = read(staff, "/reconciliation")
    assert "No run has looked at everything yet" in text
    assert "Agrees" not in text
    assert "Not checked" in text


def test_a_clean_run_says_of_each_link_that_it_agrees(acme: Tenant, staff: Client) -> None:
    charge(acme, "a", properties={"tokens": 300})
    reconcile(staff)
    text = read(staff, "/reconciliation")
    assert "Data complete up to 15 Jan 2026, 12:00 UTC" in text
    assert "Balances transfers" in text
    assert "Everything agrees" in text
    assert " open" not in text.partition("Discrepancies")[0]


def test_what_stands_is_shown_with_its_drift_and_filtered(broken: Discrepancy, staff: Client) -> None:
    text = read(staff, "/reconciliation")
    assert "1 open USD 25.00" in text
    assert "A balance is not the sum of its account's entries." in text
    found = rows(staff, "/reconciliation?link=balances&export=csv")
    assert [(row["subject"], row["amount"], row["unit"]) for row in found] == [
        ("account wallet", "25", "USD")
    ]
    assert rows(staff, "/reconciliation?link=keys&export=csv") == []
    assert rows(staff, "/reconciliation?status=resolved&export=csv") == []


def test_the_drift_of_days_is_charted_with_its_table(broken: Discrepancy, staff: Client) -> None:
    yesterday = NOW.date() - timedelta(days=1)
    LinkDrift.objects.create(
        link="keys", day=yesterday, unit="events", amount=3, discrepancies=3, run=broken.first_run
    )
    text = read(staff, "/reconciliation")
    assert "Drift by day" in text
    assert "USD 25.00" in text.partition("Figures as a table")[2]
    events = read(staff, "/reconciliation?unit=events")
    assert "Drift by day, events" in events
    assert "3" in events.partition("Figures as a table")[2]


def test_a_discrepancy_shows_both_sides_down_to_the_rows(broken: Discrepancy, staff: Client) -> None:
    text = read(staff, f"/reconciliation/discrepancies/{broken.public_id}")
    assert "The balance was changed without a transfer" in text
    assert "Transfers USD 18.00" in text
    assert "2: usage, to revenue" in text
    assert "USD -2.00" in text
    assert "Balances USD 43.00" in text
    assert "The second less the first: USD 25.00" in text


def test_who_looks_after_it_and_what_is_said_of_it_are_kept(broken: Discrepancy, staff: Client) -> None:
    address = f"/reconciliation/discrepancies/{broken.public_id}"
    staff.post(f"{address}/change", {"owner": "felix", "status": "investigating"})
    staff.post(f"{address}/comment", {"text": "Somebody had the password."})
    text = read(staff, address)
    assert "Investigating" in text
    assert "felix" in text
    assert "Somebody had the password." in text
    assert "finance@operator.example" in text
    staff.post(f"{address}/change", {"owner": "felix", "status": "resolved"})
    broken.refresh_from_db()
    assert broken.status == "investigating", "only a run resolves"


def test_a_repair_is_previewed_done_and_gone_after_the_next_run(broken: Discrepancy, staff: Client) -> None:
    address = f"/reconciliation/discrepancies/{broken.public_id}"
    preview = page(staff, f"{address}/repair/rebuild_balance")
    assert "balance 43" in preview
    assert "The sides agree" in preview
    facts = preview.partition('name="facts" value="')[2].partition('"')[0]
    assert not Repair.objects.exists()
    sent = {"facts": facts, "reason": "Restored after the break-in"}
    assert staff.post(f"{address}/repair/rebuild_balance", {"facts": facts}).status_code == 422
    assert staff.post(f"{address}/repair/rebuild_balance", sent).status_code == 302
    text = read(staff, address)
    assert "Repaired: rebuild_balance" in text
    assert "Restored after the break-in" in text
    reconcile(staff)
    assert "Resolved. A run no longer found it." in read(staff, address)
    assert Discrepancy.objects.exclude(status="resolved").count() == 0


def test_a_repair_whose_facts_changed_sends_back_with_the_reason(broken: Discrepancy, staff: Client) -> None:
    address = f"/reconciliation/discrepancies/{broken.public_id}/repair/rebuild_balance"
    answer = staff.post(address, {"facts": "0" * 64, "reason": "r"}, follow=True)
    assert "look at the preview again" in answer.content.decode()
    assert not Repair.objects.exists()


def test_what_nothing_can_tell_has_no_repair_and_the_page_says_so(acme: Tenant, staff: Client) -> None:
    charge(acme, "a", properties={"tokens": 300})
    corrupt("UPDATE metering_usageevent SET properties = '{\"tokens\": 301}'")
    reconcile(staff)
    row = Discrepancy.objects.get(type="event_changed")
    assert "There is no repair for it here" in read(staff, f"/reconciliation/discrepancies/{row.public_id}")
    assert staff.get(f"/reconciliation/discrepancies/{row.public_id}/repair/x").status_code == 404


def test_who_may_only_read_sees_all_and_does_nothing(broken: Discrepancy, sign_in: Sign) -> None:
    reader = sign_in("read_only")
    address = f"/reconciliation/discrepancies/{broken.public_id}"
    assert "Run now" not in read(reader, "/reconciliation")
    assert "Write the balance anew" not in read(reader, address)
    for path in ("/reconciliation/start/full", f"{address}/change", f"{address}/comment"):
        assert reader.post(path).status_code == 403
    assert reader.get(f"{address}/repair/rebuild_balance").status_code == 403


def test_members_find_no_such_pages(broken: Discrepancy, acme: Tenant) -> None:
    member = create_user(email="mo@acme.example")
    add_member(member, acme.customer, "owner")
    client = signed(member)
    for path in ("", "/runs", f"/discrepancies/{broken.public_id}", f"/runs/{broken.last_run.public_id}"):
        assert client.get(f"/reconciliation{path}").status_code == 404


def test_a_run_shows_its_progress_its_links_and_what_it_found(broken: Discrepancy, staff: Client) -> None:
    run = broken.first_run.public_id
    text = read(staff, f"/reconciliation/runs/{run}")
    assert "Full run" in text
    assert "Balances transfers and balances" in text
    assert "account wallet" in text
    assert run in page(staff, "/reconciliation/runs")
    staff.post("/reconciliation/start/incremental")
    waiting = ReconciliationRun.objects.get(finished_at=None).public_id
    assert "Waiting for a worker" in read(staff, f"/reconciliation/runs/{waiting}/progress")
    assert "not finished yet" in staff.post("/reconciliation/start/full", follow=True).content.decode()
    staff.post(f"/reconciliation/runs/{waiting}/cancel")
    assert "Canceled" in read(staff, f"/reconciliation/runs/{waiting}")
    answer = staff.get(f"/reconciliation/runs/{waiting}/progress", headers={"hx-request": "true"})
    assert (answer.status_code, answer["HX-Redirect"]) == (204, "/reconciliation")
    assert staff.post("/reconciliation/start/nonsense").status_code == 404


def test_home_shows_open_drift(broken: Discrepancy, staff: Client) -> None:
    text = read(staff, "/")
    assert "A balance is not the sum of its account's entries. 1 open discrepancy, USD 25.00" in text


def test_pages_keep_within_their_statements(
    broken: Discrepancy, staff: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    paths = {
        "reconciliation": "/reconciliation",
        "runs": "/reconciliation/runs",
        "run": f"/reconciliation/runs/{broken.first_run.public_id}",
        "discrepancy": f"/reconciliation/discrepancies/{broken.public_id}",
        "repair": f"/reconciliation/discrepancies/{broken.public_id}/repair/rebuild_balance",
    }
    for name, path in paths.items():
        with django_assert_max_num_queries(BUDGETS[name]):
            page(staff, path)


def test_a_gateways_file_is_loaded_and_its_wrong_rows_are_named(acme: Tenant, staff: Client) -> None:
    key = register_fingerprint(workspace=acme.workspace, name="k", fingerprint=fingerprint("secret"))
    lines = f"api_key,hour,calls\n{key.public_id},2026-01-15T09:00:00Z,7\n{key.public_id},nine,1\n"
    sent = {"file": SimpleUploadedFile("c.csv", lines.encode()), "format": "csv", "source": "edge"}
    answer = staff.post("/gateway-counts/new", sent)
    assert answer.status_code == 422
    assert "Row 2" in answer.content.decode()
    assert GatewayCount.objects.get().calls == 7
    text = read(staff, "/gateway-counts")
    assert "edge" in text
    assert key.public_id in text
    good = lines.partition(f"{key.public_id},nine")[0].encode()
    again = {"file": SimpleUploadedFile("c.csv", good), "format": "csv", "source": "edge"}
    assert staff.post("/gateway-counts/new", again).status_code == 302
    assert GatewayCount.objects.count() == 1


def test_a_providers_file_is_loaded_whole_or_not_at_all(staff: Client) -> None:
    head = "id,amount,currency,at\n"
    wrong = head + "pi_1,50,USD,2026-01-10T10:00:00Z\npi_2,x,USD,2026-01-10T10:00:00Z\n"
    sent = {"file": SimpleUploadedFile("p.csv", wrong.encode()), "format": "csv", "provider": "stripe"}
    answer = staff.post("/provider-payments/new", sent)
    assert answer.status_code == 422
    assert "Line 3" in answer.content.decode()
    assert not ProviderPayment.objects.exists()
    good = head + "pi_1,50,USD,2026-01-10T10:00:00Z\n"
    sent["file"] = SimpleUploadedFile("p.csv", good.encode())
    assert staff.post("/provider-payments/new", sent).status_code == 302
    assert "pi_1" in read(staff, "/provider-payments")
    assert staff.post("/provider-payments/new", {"format": "csv"}).status_code == 422


def test_an_old_discrepancy_shows_its_age(broken: Discrepancy, staff: Client) -> None:
    now_is(NOW + timedelta(days=3))
    assert "3 days ago" in read(staff, f"/reconciliation/discrepancies/{broken.public_id}")
    assert clock.now() > broken.first_found_at

"""`manage.py import_customers`: trees, payers and keys from a file, again and again."""

from __future__ import annotations

import json
from decimal import Decimal
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.audit import changes_of
from accounts.credentials import authenticate_api_key
from accounts.importing.batch import Report, import_rows
from accounts.importing.rows import Row
from accounts.models import ApiKey, BillingEntity, Customer, Organization, PayerAssignment, Workspace
from accounts.payers import assign_payer, create_billing_entity
from core import clock
from tests.accounts.conftest import Tenant

pytestmark = pytest.mark.django_db

MARK = sha256(b"their-own-key").hexdigest()
LINE: dict[str, Any] = {
    "customer": "acme",
    "customer_name": "Acme",
    "organization": "acme-eu",
    "organization_name": "Acme Europe",
    "parent_organization": "acme-group",
    "workspace": "acme-search",
    "workspace_name": "Search",
    "billing_entity": "acme-gmbh",
    "billing_entity_name": "Acme GmbH",
    "billing_entity_organization": "acme-eu",
    "currency": "EUR",
    "time_zone": "Europe/Berlin",
    "settlement": "wallet_then_invoice",
    "overdraft": "0",
    "credit_limit": "500.50",
    "key_fingerprint": MARK,
    "key_name": "Backend",
    "key_user": "ana",
}
MODELS = (Customer, Organization, BillingEntity, Workspace, PayerAssignment, ApiKey)


class Imported:
    """What a run said, and whether it was content."""

    def __init__(self, path: Path, **options: Any) -> None:
        out, err = StringIO(), StringIO()
        self.failure = ""
        try:
            call_command("import_customers", path, stdout=out, stderr=err, **options)
        except CommandError as error:
            self.failure = str(error)
        self.out, self.errors = out.getvalue(), err.getvalue()


def jsonl(folder: Path, *lines: Any) -> Path:
    path = folder / "customers.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def counts() -> list[int]:
    return [model.objects.count() for model in MODELS]


def test_one_line_makes_a_customer_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    result = Imported(jsonl(tmp_path, LINE))
    assert result.failure == ""
    workspace = Workspace.objects.get()
    assert (workspace.name, workspace.customer.name) == ("Search", "Acme")
    assert workspace.organization is not None
    assert workspace.organization.name == "Acme Europe"
    assert workspace.organization.parent is not None
    assert workspace.organization.parent.name == "acme-group"
    payer = BillingEntity.objects.get()
    assert (payer.currency, payer.time_zone, payer.settlement) == (
        "EUR",
        "Europe/Berlin",
        "wallet_then_invoice",
    )
    assert (payer.overdraft, payer.credit_limit) == (Decimal(0), Decimal("500.50"))
    assert payer.organization == workspace.organization
    assignment = PayerAssignment.objects.get()
    assert (assignment.workspace, assignment.billing_entity) == (workspace, payer)
    assert (assignment.starts_at, assignment.ends_at) == (None, None)
    key = authenticate_api_key("their-own-key")
    assert (key.workspace_id, key.user) == (workspace.pk, "ana")


def test_a_second_run_adds_nothing(tmp_path: Path) -> None:
    lines = [
        LINE,
        {"customer": "beta"},
        {"customer": "acme", "workspace": "acme-ads", "billing_entity": "acme-gmbh"},
    ]
    Imported(jsonl(tmp_path, *lines))
    before = counts()
    trail = len(changes_of(Customer.objects.get(external_id="acme")))
    result = Imported(jsonl(tmp_path, *lines))
    assert (result.failure, counts()) == ("", before)
    assert before == [2, 2, 1, 2, 2, 1]
    assert "customers: 0 created, 0 changed" in result.out
    assert len(changes_of(Customer.objects.get(external_id="acme"))) == trail


def test_csv_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "customers.CSV"
    columns = list(LINE)
    path.write_text(
        "\ufeff"
        + ",".join(columns)
        + "\r\n"
        + ",".join(str(LINE[name]) for name in columns)
        + "\r\nbeta"
        + "," * 17,
        encoding="utf-8",
    )
    result = Imported(path)
    assert result.failure == ""
    assert counts() == [2, 2, 1, 1, 1, 1]
    assert "2 lines read" in result.out


def test_names_and_places_that_differ_are_changed(tmp_path: Path) -> None:
    Imported(jsonl(tmp_path, LINE))
    changed = LINE | {
        "customer_name": "Acme AG",
        "parent_organization": "acme-world",
        "overdraft": "10",
        "key_user": "ben",
        "workspace_name": "Find",
    }
    result = Imported(jsonl(tmp_path, changed))
    assert result.failure == ""
    assert "customers: 0 created, 1 changed" in result.out
    assert Customer.objects.get().name == "Acme AG"
    assert Workspace.objects.get().name == "Find"
    assert BillingEntity.objects.get().overdraft == Decimal(10)
    assert ApiKey.objects.get().user == "ben"
    parent = Organization.objects.get(external_id="acme-eu").parent
    assert parent is not None
    assert parent.external_id == "acme-world"


def test_what_a_line_leaves_out_stays(tmp_path: Path) -> None:
    Imported(jsonl(tmp_path, LINE))
    result = Imported(
        jsonl(tmp_path, {"customer": "acme", "workspace": "acme-search", "key_fingerprint": MARK})
    )
    assert result.failure == ""
    assert "0 created, 1 changed" not in result.out
    assert Workspace.objects.get().organization is not None
    assert ApiKey.objects.get().user == "ana"


def test_a_dry_run_says_it_and_does_nothing(tmp_path: Path) -> None:
    result = Imported(jsonl(tmp_path, LINE), dry_run=True)
    assert result.failure == ""
    assert "customers: 1 would be created, 0 would be changed" in result.out
    assert counts() == [0] * 6


def test_a_deep_tree_in_any_order_of_lines(tmp_path: Path) -> None:
    lines = [
        {"customer": "acme", "organization": f"o{number}", "parent_organization": f"o{number - 1}"}
        for number in range(20, 0, -1)
    ]
    assert Imported(jsonl(tmp_path, *lines)).failure == ""
    organization, depth = Organization.objects.get(external_id="o20"), 0
    while organization.parent is not None:
        organization, depth = organization.parent, depth + 1
    assert (organization.external_id, depth) == ("o0", 20)


BAD: list[tuple[Any, str]] = [
    ("not json", "Not JSON"),
    ("[]", "JSON object"),
    ("5", "JSON object"),
    ({"workspace": "x"}, "customer is missing"),
    ({"customer": ""}, "customer is missing"),
    ({"customer": 5}, "customer must be a text"),
    ({"customer": "x", "colour": "red"}, "no field 'colour'"),
    ({"customer": "x\x00"}, "NUL"),
    ({"customer": "x" * 10_000}, "at most 200"),
    ({"customer": "x", "workspace_name": "y"}, "without workspace"),
    ({"customer": "x", "billing_entity": "y"}, "needs a currency"),
    ({"customer": "x", "billing_entity": "y", "currency": "usd"}, "ISO 4217"),
    ({"customer": "x", "billing_entity": "y", "currency": "USD", "time_zone": "Mars"}, "IANA"),
    ({"customer": "x", "billing_entity": "y", "currency": "USD", "overdraft": "-1"}, "below zero"),
    ({"customer": "x", "billing_entity": "y", "currency": "USD", "overdraft": 1}, "in quotes"),
    ({"customer": "x", "billing_entity": "y", "currency": "USD", "settlement": "barter"}, "one of"),
    ({"customer": "x", "workspace": "w", "key_fingerprint": "abc"}, "64 hex digits"),
    ({"customer": "x", "key_fingerprint": MARK}, "without workspace"),
    ({"customer": "x", "organization": "o", "parent_organization": "o"}, "below itself"),
    ({"customer": "x", "organization": "org_00000001"}, "our own ids"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_a_bad_line_is_told_by_its_number_and_sinks_nobody(tmp_path: Path, line: Any, message: str) -> None:
    result = Imported(jsonl(tmp_path, {"customer": "first"}, line, {"customer": "last"}))
    assert result.failure == "1 of 3 lines were not taken."
    assert result.errors.startswith("line 2: ")
    assert message in result.errors
    assert set(Customer.objects.values_list("external_id", flat=True)) == {"first", "last"}
    assert counts()[1:] == [0] * 5


def test_what_belongs_to_another_customer_is_not_touched(
    tmp_path: Path, acme: Tenant, stranger: Tenant
) -> None:
    before = counts()
    result = Imported(
        jsonl(
            tmp_path,
            {"customer": "acme", "workspace": "stranger-search", "workspace_name": "Mine"},
            {"customer": "acme", "organization": "stranger-eu"},
            {"customer": "acme", "organization": "new", "parent_organization": "stranger-eu"},
            {"customer": "acme", "billing_entity": "stranger-gmbh"},
        )
    )
    assert result.failure == "4 of 4 lines were not taken."
    assert result.errors.count("belongs to another customer") == 4
    assert counts() == before


def test_a_circle_over_several_lines_is_refused(tmp_path: Path) -> None:
    chain = [("a", "b"), ("b", "c"), ("c", "a")]
    result = Imported(
        jsonl(
            tmp_path,
            *(
                {"customer": "x", "organization": below, "parent_organization": above}
                for below, above in chain
            ),
        )
    )
    assert "line 3: organization 'c' may not stand below itself" in result.errors
    assert Imported(
        jsonl(tmp_path, {"customer": "x", "organization": "c", "parent_organization": "a"})
    ).failure


def test_currency_time_zone_and_payer_do_not_change_by_import(tmp_path: Path, acme: Tenant) -> None:
    create_billing_entity(customer=acme.customer, name="Other", currency="EUR", external_id="other")
    result = Imported(
        jsonl(
            tmp_path,
            {"customer": "acme", "billing_entity": "acme-gmbh", "currency": "USD"},
            {"customer": "acme", "billing_entity": "acme-gmbh", "time_zone": "Asia/Tokyo"},
            {"customer": "acme", "workspace": "acme-search", "billing_entity": "other"},
        )
    )
    assert "line 1: The currency of billing_entity 'acme-gmbh' is EUR and stays." in result.errors
    assert "line 2: The time_zone" in result.errors
    assert "line 3: workspace 'acme-search' has another payer" in result.errors


def test_the_payer_of_today_is_the_one_a_line_may_name(tmp_path: Path, acme: Tenant) -> None:
    other = create_billing_entity(customer=acme.customer, name="Other", currency="EUR", external_id="other")
    assign_payer(acme.workspace, other, from_=clock.now())
    line = {"customer": "acme", "workspace": "acme-search", "billing_entity": "other"}
    assert Imported(jsonl(tmp_path, line)).failure == ""
    assert Imported(jsonl(tmp_path, line | {"billing_entity": "acme-gmbh"})).failure


def test_a_fingerprint_belongs_to_one_workspace(tmp_path: Path) -> None:
    lines = [
        {"customer": "acme", "workspace": "one", "key_fingerprint": MARK},
        {"customer": "acme", "workspace": "two", "key_fingerprint": MARK.upper()},
    ]
    result = Imported(jsonl(tmp_path, *lines))
    assert "line 2: This key_fingerprint is registered for another workspace." in result.errors
    assert ApiKey.objects.get().workspace.external_id == "one"
    assert not Workspace.objects.filter(external_id="two").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"customer,colour\nx,red\n", "There is no column 'colour'"),
        (b"name\nx\n", "There is no column 'name'"),
        (b"workspace\nx\n", "customer is missing"),
        (b"", "customer is missing"),
        (b"customer,customer\nx,y\n", "stands twice"),
    ],
)
def test_a_csv_with_other_columns_is_refused_whole(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "customers.csv"
    path.write_bytes(content)
    assert message in Imported(path).failure
    assert counts() == [0] * 6


def test_bad_bytes_in_a_csv_are_an_error_of_their_line(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_bytes(b'customer,customer_name\na,A\nb,\xff\nc,C\x00\nd,D,E\ne,"x"y\nf,F\n')
    result = Imported(path)
    assert [line.partition(":")[0] for line in result.errors.splitlines()] == [
        "line 3",
        "line 4",
        "line 5",
        "line 6",
    ]
    assert set(Customer.objects.values_list("external_id", flat=True)) == {"a", "f"}


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in Imported(tmp_path / "nowhere.csv").failure
    assert "cannot be read: Is a directory" in Imported(tmp_path).failure


def test_two_hundred_keys_of_forty_payers_cost_a_fixed_number_of_statements(tmp_path: Path) -> None:
    def rows(count: int) -> list[Row]:
        return [
            Row(
                line=number,
                customer=f"c{number % 40}",
                workspace=f"w{number % 80}",
                billing_entity=f"p{number % 40}",
                currency="USD",
                key_fingerprint=sha256(f"{count}-{number}".encode()).hexdigest(),
            )
            for number in range(count)
        ]

    with CaptureQueriesContext(connection) as few:
        import_rows(rows(10), Report())
    with CaptureQueriesContext(connection) as many:
        import_rows(rows(200), Report())
    assert ApiKey.objects.count() == 210
    assert BillingEntity.objects.count() == 40
    assert len(many) <= len(few)


def test_changes_by_import_are_in_the_trail(tmp_path: Path) -> None:
    Imported(jsonl(tmp_path, LINE))
    change = changes_of(Customer.objects.get())[0]
    assert (change.source, change.actor) == ("command", "manage.py import_customers")

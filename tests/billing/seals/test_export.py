"""An export of a payer's sealed rows, and the one file with which anybody checks it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.models import Charge
from billing.seals import check_export, sealing
from billing.wallets import adjust
from tests.billing.damage import disarmed
from tests.billing.seals.sealed import NOW, seals, use
from tests.billing.world import Tenant, make_tenant

Lines = list[dict[str, Any]]


@pytest.fixture
def exported(tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tenant's export, in two seals of two numbers."""
    monkeypatch.setattr(sealing, "SEAL_NUMBERS", 2)
    return export(tenant, tmp_path)


def export(tenant: Tenant, folder: Path, *options: str) -> Path:
    path = folder / "export.jsonl"
    call_command("export_ledger", "--payer", tenant.payer.public_id, "--out", str(path), *options)
    return path


def heads(folder: Path) -> Path:
    path = folder / "heads.jsonl"
    call_command("export_seals", "--out", str(path))
    return path


def alone(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The checker, copied out of the project, with nothing but the standard library."""
    copy = shutil.copy(check_export.__file__, folder / "handed_over.py")
    command = [sys.executable, "-I", "-S", copy, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, check=False)


def lines_of(path: Path) -> Lines:
    return [json.loads(line) for line in path.read_text().splitlines()]


def checked(folder: Path, lines: Lines, kept: Lines = ()) -> str:  # type: ignore[assignment]
    """What the checker says of lines; empty when they fit."""
    path = folder / "changed.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    try:
        check_export.check(str(path), kept)
    except check_export.Misfit as misfit:
        return str(misfit)
    return ""


def test_the_file_alone_checks_an_export(tenant: Tenant, exported: Path, tmp_path: Path) -> None:
    result = alone(tmp_path, exported, "--heads", heads(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    head = bytes(seals(tenant)[-1].head).hex()
    assert result.stdout == (
        f"{tenant.payer.public_id}: fits; 10 rows under 2 seals, numbers up to 4, head {head}\n"
    )


def test_without_kept_heads_it_says_what_it_cannot_know(exported: Path, tmp_path: Path) -> None:
    result = alone(tmp_path, exported)
    assert result.returncode == 0
    assert "No kept heads were given" in result.stdout


def test_the_file_alone_names_the_first_row_that_does_not_fit(
    tenant: Tenant, exported: Path, tmp_path: Path
) -> None:
    exported.write_text(exported.read_text().replace('"99.95"', '"99.96"', 1))
    result = alone(tmp_path, exported)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout == (
        f"DOES NOT FIT: {tenant.payer.public_id}, line 5: charge 2 is not what it was when it was sealed\n"
    )


@pytest.mark.parametrize("content", [None, "{", "\x00", "[1]", "5", '{"type": "payer"}', "{}"])
def test_what_is_no_export_is_told_and_does_not_end_in_a_traceback(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "none.jsonl"
    if content is not None:
        path.write_text(content)
    assert check_export.main([str(path)]) in (1, 2)


def of_kind(lines: Lines, kind: str) -> Lines:
    return [line for line in lines if line["type"] == kind]


def change_amount(lines: Lines) -> None:
    of_kind(lines, "charge")[1]["fields"]["amount"] = "0.04"


def change_property(lines: Lines) -> None:
    of_kind(lines, "event")[0]["properties"]["tokens"] = "6"


def change_user(lines: Lines) -> None:
    of_kind(lines, "event")[0]["user"] = "bob"


def hide_user(lines: Lines) -> None:
    of_kind(lines, "event")[0]["user"] = None


def add_property(lines: Lines) -> None:
    event = of_kind(lines, "event")[0]
    event["properties"]["more"], event["salts"]["properties.more"] = "1", "00"


def rename_fields(lines: Lines) -> None:
    fields = of_kind(lines, "charge")[0]["fields"]
    names = list(fields)
    names[-1], names[-2] = names[-2], names[-1]
    of_kind(lines, "charge")[0]["fields"] = dict(zip(names, fields.values(), strict=True))


def turn_transfer(lines: Lines) -> None:
    fields = of_kind(lines, "transfer")[1]["fields"]
    fields["source"], fields["destination"] = fields["destination"], fields["source"]


def drop(kind: str, number: int) -> Callable[[Lines], None]:
    return lambda lines: lines.remove(of_kind(lines, kind)[number])


def repeat(kind: str, number: int) -> Callable[[Lines], None]:
    return lambda lines: lines.insert(lines.index(of_kind(lines, kind)[number]), of_kind(lines, kind)[number])


def swap_rows(lines: Lines) -> None:
    lines[3], lines[4] = lines[4], lines[3]


def change_head(lines: Lines) -> None:
    of_kind(lines, "seal")[0]["head"] = "11" * 32


def change_entries(lines: Lines) -> None:
    seal = of_kind(lines, "seal")[0]
    seal["entries"] = "65" + seal["entries"][2:]


def cut_entries(lines: Lines) -> None:
    seal = of_kind(lines, "seal")[0]
    seal["entries"] = seal["entries"][:-2]


def another_payer(lines: Lines) -> None:
    lines[0]["billing_entity"] = 999


def another_number(lines: Lines) -> None:
    of_kind(lines, "charge")[0]["fields"]["seq"] = "9"


def strange(lines: Lines) -> None:
    lines.insert(3, {"type": "note"})


CHANGES: list[tuple[Callable[[Lines], None], str]] = [
    (change_amount, "charge 3 is not what it was when it was sealed"),
    (change_property, "event 2 is not what it was when it was sealed"),
    (change_user, "event 2 is not what it was when it was sealed"),
    (hide_user, "event 2 is not what it was when it was sealed"),
    (add_property, "event 2 is not what it was when it was sealed"),
    (rename_fields, "this charge has other fields than it must have, or in another order"),
    (turn_transfer, "transfer 2 is not what it was when it was sealed"),
    (drop("event", 0), "event 2 is not here, where charge 2 is"),
    (drop("transfer", 1), "transfer 2 is gone"),
    (drop("transfer", 3), "transfer 4 is gone"),
    (drop("seal", 0), "transfer 1 is not under its seal"),
    (drop("seal", 1), "event 3 is not under its seal"),
    (drop("end", 0), "the last line about this payer is missing: the export is not whole"),
    (drop("payer", 0), "a line of the type seal stands outside of a payer's rows"),
    (repeat("charge", 1), "transfer 3 is not here, where charge 3 is"),
    (repeat("seal", 1), "event 3 is gone"),
    (swap_rows, "event 2 is not here, where charge 2 is"),
    (change_head, "seal 1 to 2 is not what its head says"),
    (change_entries, "seal 1 to 2 is not what its head says"),
    (cut_entries, "seal 1 to 2 has a part of a row"),
    (another_payer, "seal 1 to 2 is not what its head says"),
    (another_number, "charge 2 says another number of itself"),
    (strange, "there are no lines of the type note"),
]


def test_whatever_is_changed_in_an_export_is_named(exported: Path, tmp_path: Path) -> None:
    for change, says in CHANGES:
        lines = lines_of(exported)
        change(lines)
        assert says in checked(tmp_path, lines), says


def test_a_history_that_was_written_anew_does_not_have_the_head_that_was_kept(
    tenant: Tenant, exported: Path, tmp_path: Path
) -> None:
    kept = lines_of(heads(tmp_path))
    with disarmed() as cursor:
        cursor.execute("DELETE FROM billing_seal; DELETE FROM billing_sealsalts")
        cursor.execute("UPDATE billing_charge SET occurred_at = occurred_at - interval '1 day'")
    lines = lines_of(export(tenant, tmp_path))
    assert checked(tmp_path, lines) == ""
    assert "the kept head at number 4 is not the head of a seal here" in checked(tmp_path, lines, kept)


def test_an_export_that_ends_before_a_kept_head_is_too_short(
    tenant: Tenant, exported: Path, tmp_path: Path
) -> None:
    short = lines_of(exported)
    use(tenant, 1, first=3)
    export(tenant, tmp_path)
    kept = lines_of(heads(tmp_path))
    assert "ends at number 4, before the kept head at 5" in checked(tmp_path, short, kept)


def test_a_balance_that_a_charge_told_must_be_the_sum_of_transfers(tenant: Tenant, tmp_path: Path) -> None:
    """Wrong from the start, and sealed so: only the sums can tell."""
    with disarmed() as cursor:
        cursor.execute("UPDATE billing_charge SET settled_after = settled_after + 1 WHERE seq = 3")
    says = checked(tmp_path, lines_of(export(tenant, tmp_path)))
    assert "charge 3 told a balance of 100.9; transfers say 99.90" in says


def test_a_number_without_a_row_is_named(tenant: Tenant, tmp_path: Path) -> None:
    with disarmed() as cursor:
        cursor.execute(
            "DELETE FROM metering_usageevent WHERE seq = 3; DELETE FROM billing_charge WHERE seq = 3"
        )
        cursor.execute("DELETE FROM billing_transfer WHERE seq = 3")
    assert "number 3 has no row" in checked(tmp_path, lines_of(export(tenant, tmp_path)))


def test_a_redacted_export_shows_nothing_of_a_person_and_still_fits(
    tenant: Tenant, exported: Path, tmp_path: Path
) -> None:
    path = export(tenant, tmp_path, "--redact")
    assert "olga" not in path.read_text()
    assert "olga" in exported.read_text() or exported == path
    assert checked(tmp_path, lines_of(path)) == ""
    assert alone(tmp_path, path).returncode == 0


def test_all_payers_of_a_customer_stand_in_one_export(tenant: Tenant, tmp_path: Path) -> None:
    adjust(tenant.payer, Charge.objects.values_list("amount", flat=True)[0], reason="r")
    make_tenant(None, balance="3")
    path = tmp_path / "all.jsonl"
    call_command("export_ledger", "--customer", tenant.customer.public_id, "--out", str(path))
    (payer,) = check_export.check(str(path), [])
    assert (payer.name, payer.rows, payer.upto) == (tenant.payer.public_id, 11, 5)


def test_heads_of_everybody_or_of_one_customer(tenant: Tenant) -> None:
    other = make_tenant(None, balance="3")
    sealing.seal_payers([(each.customer.pk, each.payer.pk) for each in (tenant, other)], NOW)
    out = StringIO()
    call_command("export_seals", stdout=out)
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["billing_entity_id"] for row in rows] == [tenant.payer.public_id, other.payer.public_id]
    out = StringIO()
    call_command("export_seals", "--customer", other.customer.public_id, stdout=out)
    (row,) = map(json.loads, out.getvalue().splitlines())
    assert (row["to_seq"], row["head"]) == (1, bytes(seals(other)[0].head).hex())


@pytest.mark.django_db
def test_whose_export_it_is_must_be_known() -> None:
    with pytest.raises(CommandError, match="be_"):
        call_command("export_ledger", "--payer", "be_1")
    with pytest.raises(CommandError, match="cus_"):
        call_command("export_seals", "--customer", "cus_1")

"""`manage.py import_usage`: JSONL, packed files, and what is wrong from the beginning."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from django.core.management import CommandError

from metering.models import QuarantinedEvent, UsageEvent
from tests.billing.import_files import TOKENS, TRACE, a_file, in_workspace, run, token_tenant
from tests.billing.world import Tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant() -> Tenant:
    return token_tenant()


def test_lines_in_the_form_of_the_api_need_no_mapping(tenant: Tenant, tmp_path: Path) -> None:
    workspace = tenant.workspace.external_id
    content = (
        '{"idempotency_key": "a", "event": "completion", "occurred_at": "2026-01-05T00:00:00Z",'
        f' "workspace": "{workspace}", "properties": {{"input_tokens": 0.1}}, "costs": []}}\n'
        "\n"
        '{"event": "completion", "proprties": {}, "occurred_at": "2026-01-05T00:00:00Z", "workspace": "w"}\n'
        "[1]\n"
        '{"broken"\n'
        '{"a": NaN}\n'
    )
    code, out, err = run(a_file(tmp_path, content, "events.jsonl"))
    assert code == 1
    assert "5 rows: 1 taken, 0 known already, 0 in quarantine, 4 rejected." in out
    assert UsageEvent.objects.get().cost == 0
    for line, reason in ((3, "proprties"), (4, "not a JSON object"), (5, "Not JSON"), (6, "NaN")):
        assert any(f"line {line}: " in told and reason in told for told in err.splitlines()), (line, err)


def test_paths_reach_into_lines(tenant: Tenant, tmp_path: Path) -> None:
    content = (
        '{"ts": 1700158623, "usage": {"in": 5, "out": 7}, "who": {"id": 42}}\n'
        '{"ts": 1700158624, "usage": {"in": 5, "out": null}}\n'
    )
    code, _, err = run(
        a_file(tmp_path, content, "calls.ndjson"),
        "--map=occurred_at=ts",
        "--map=properties.input_tokens=usage.in",
        "--map=properties.output_tokens=usage.out",
        "--map=user=who.id",
        "--set=event=completion",
        in_workspace(tenant),
    )
    assert (code, "line" in err) == (0, False)
    first, second = UsageEvent.objects.order_by("seq")
    assert (first.user, first.properties) == ("42", {"input_tokens": 5, "output_tokens": 7})
    assert second.properties == {"input_tokens": 5}


def test_a_line_without_end_is_one_bad_row(tenant: Tenant, tmp_path: Path) -> None:
    good = '{"occurred_at": "2026-01-05T00:00:00Z"}'
    content = '{"a": "' + "x" * 3_000_000 + '"}\n' + good + "\n"
    path = a_file(tmp_path, content, "big.jsonl")
    code, out, err = run(path, "--set=event=completion", in_workspace(tenant))
    assert (code, "line 1: the line is longer" in err) == (1, True)
    assert "2 rows: 1 taken" in out


def test_a_packed_file_is_read_too(tenant: Tenant, tmp_path: Path) -> None:
    path = a_file(tmp_path, gzip.compress(TRACE.encode()), "trace.csv.gz")
    assert "3 taken" in run(path, *TOKENS, in_workspace(tenant))[1]


# --- what is wrong from the beginning


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--map=occurred_at=TIMESTMP"], "There is no column 'TIMESTMP'"),
        (["--map=occured_at=TIMESTAMP"], "There is no field 'occured_at'"),
        (["--map=properties.=TIMESTAMP"], "There is no field 'properties.'"),
        (["--map=occurred_at"], "write FIELD=VALUE"),
        (["--set=event="], "write FIELD=VALUE"),
        (["--set=event=a", "--set=event=b"], "stands twice"),
        (["--set=event=a", "--map=event=TIMESTAMP"], "in --map and in --set"),
        (["--set=workspace=nowhere"], "There is no workspace 'nowhere'"),
        (["--set=billing_entity=nowhere"], "There is no billing entity 'nowhere'"),
        (["--set=api_key=sk-1"], "There is no api key"),
        (["--time-zone=Mars/Base"], "There is no time zone 'Mars/Base'"),
        ([f"--key-prefix={'x' * 201}"], "1 to 200 characters"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_before_anything_is_read(
    tenant: Tenant, tmp_path: Path, options: list[str], sentence: str
) -> None:
    with pytest.raises(CommandError) as caught:
        run(a_file(tmp_path, TRACE), *options)
    assert sentence in str(caught.value)
    assert "sk-1" not in str(caught.value)
    assert not UsageEvent.objects.exists()
    assert not QuarantinedEvent.objects.exists()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing.csv", None, "cannot be read"),
        ("empty.csv", "", "The file is empty"),
        ("blank.csv", ",,\n", "The file is empty"),
        ("sheet.csv", "event,user\n".encode("utf-16"), "not text in UTF-8"),
        ("twice.csv", "a,a\n1,2\n", "names 'a' twice"),
        ("what.txt", "a\n", "CSV or JSONL"),
        ("fake.csv.gz", "no gzip", "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(
    tenant: Tenant, tmp_path: Path, name: str, content: str | bytes | None, sentence: str
) -> None:
    path = tmp_path / name if content is None else a_file(tmp_path, content, name)
    with pytest.raises(CommandError) as caught:
        run(path, in_workspace(tenant))
    assert sentence in str(caught.value)


def test_a_file_with_nothing_but_a_header_is_fine(tenant: Tenant, tmp_path: Path) -> None:
    assert "0 rows: 0 taken" in run(a_file(tmp_path, TRACE.splitlines()[0]), *TOKENS, in_workspace(tenant))[1]


def test_many_refusals_are_summed_up(tenant: Tenant, tmp_path: Path) -> None:
    content = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "never,1,1\n" * 1200
    code, out, err = run(a_file(tmp_path, content), *TOKENS, in_workspace(tenant))
    assert code == 1
    assert "1,200 rejected" in out
    assert len([line for line in err.splitlines() if line.startswith("line ")]) == 50
    assert "and 1,150 more" in err
    assert "1,200 x An instant" in err

"""`manage.py ingest_access_log`: what it says, how it ends, and that it stays with a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from accounts.keys import issue_api_key
from billing.access_log.following import AWAY_SECONDS, PAUSE_SECONDS, follow
from billing.access_log.ingesting import Ingester, IngestReport
from billing.models import Charge
from core import clock
from tests.billing.access_log.log_lines import append, line, own
from tests.billing.world import Tenant, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
PER_CALL = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": "4"}


@pytest.fixture(autouse=True)
def _january() -> Iterator[None]:
    clock.use(lambda: datetime(2026, 1, 15, 12, tzinfo=UTC))
    yield
    clock.use(None)


@pytest.fixture
def tenant() -> Tenant:
    make_meter("calls", aggregation="count")
    return make_tenant(make_version([PER_CALL]), balance="10", overdraft=Decimal(0), name="Acme Ltd")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "tollgate.log"
    path.touch()
    return path


def run(*words: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("ingest_access_log", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_it_says_what_became_of_the_lines(tenant: Tenant, log: Path) -> None:
    append(log, own(tenant), own(tenant, status="502"))
    out, _ = run(str(log))
    assert out == (
        "2 lines: 0 captured, 1 events, 0 passed without an answer,"
        " 0 voided, 1 failed and free, 0 stopped, 0 known already, 0 in quarantine, 0 unread.\n"
    )
    assert run(str(log))[0].startswith("0 lines")


def test_from_which_status_calls_are_free_may_be_said(tenant: Tenant, log: Path) -> None:
    append(log, own(tenant, status="404"))
    assert "1 failed and free" in run(str(log), "--free-from", "400")[0]


def test_exposure_is_told_by_payer_with_what_lies_below_its_floor(tenant: Tenant, log: Path) -> None:
    key = issue_api_key(workspace=tenant.workspace, name="caller").secret
    append(log, *[line(caller=key) for _ in range(3)])
    out, _ = run(str(log))
    assert f"Acme Ltd ({tenant.payer.public_id}), 3 calls, 12 USD, of which 2 below its floor." in out


def test_what_could_not_be_taken_is_told_and_ends_it_with_1(tenant: Tenant, log: Path) -> None:
    log.write_bytes(b"nonsense\n")
    append(log, own(tenant) | {"workspace": "nowhere"})
    out, err = StringIO(), StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("ingest_access_log", str(log), stdout=out, stderr=err)
    assert ended.value.code == 1
    assert "1 in quarantine, 1 unread" in out.getvalue()
    assert "1 x unread: Not JSON" in err.getvalue()


def test_a_file_that_is_not_there_is_an_error_in_words(tmp_path: Path) -> None:
    for path in (tmp_path / "none.log", tmp_path):
        with pytest.raises(CommandError, match="There is no file"):
            run(str(path))


@pytest.mark.parametrize("status", ["-5", "0", "99", "700", "x", "70000"])
def test_a_status_that_is_none_is_refused_before_a_line_is_read(log: Path, status: str) -> None:
    log.write_bytes(b"nonsense\n")
    with pytest.raises(CommandError, match="is no status of HTTP"):
        run(str(log), f"--free-from={status}")


def followed(
    ingester: Ingester, between: list[Callable[[], None]], away: list[str] | None = None
) -> tuple[list[IngestReport], list[float]]:
    """Follow until all that happens `between` two readings has happened; reports, and pauses made."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        between.pop(0)()

    reports = follow(
        ingester,
        stops=lambda: not between,
        on_away=lambda error: (away if away is not None else []).append(type(error).__name__),
        sleep=sleep,
    )
    return list(reports), pauses


def test_following_settles_what_comes_also_after_a_rotation(tenant: Tenant, log: Path) -> None:
    append(log, own(tenant))

    def rotate() -> None:
        append(log, own(tenant))
        log.rename(log.with_name("tollgate.log.1"))
        append(log, own(tenant))

    def write_to_the_old_one() -> None:
        append(log.with_name("tollgate.log.1"), own(tenant))

    steps = [lambda: append(log, own(tenant), own(tenant)), rotate, write_to_the_old_one, lambda: None]
    reports, pauses = followed(Ingester(log), steps)
    assert [report.counts["events"] for report in reports] == [1, 2, 2, 1]
    assert pauses == [PAUSE_SECONDS] * 4
    assert Charge.objects.count() == 6


def test_following_waits_for_a_log_that_is_not_there_yet(tenant: Tenant, tmp_path: Path) -> None:
    log = tmp_path / "later.log"
    reports, _ = followed(Ingester(log), [lambda: append(log, own(tenant)), lambda: None])
    assert [report.counts["events"] for report in reports] == [1]


def test_following_outlasts_a_database_that_is_away(
    tenant: Tenant, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, own(tenant))
    ingester, away = Ingester(log), list[str]()
    run_once = ingester.run

    def run_or_fail() -> Any:
        if not away:
            raise OperationalError("away")
        return run_once()

    monkeypatch.setattr(ingester, "run", run_or_fail)
    reports, pauses = followed(ingester, [lambda: None, lambda: None], away)
    assert away == ["OperationalError"]
    assert pauses == [AWAY_SECONDS, PAUSE_SECONDS]
    assert [report.counts["events"] for report in reports] == [1]

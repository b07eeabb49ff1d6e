"""Lines that could not be settled are tried again: by a command and on the page, each counting once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.keys import issue_api_key
from accounts.users import add_to_staff, create_user
from billing.access_log.ingesting import Ingester
from billing.access_log.retrying import retry_lines, waiting_lines
from billing.models import AccessLog, Charge, UnreadLine
from core import clock
from core.database_errors import Unavailable
from tests.billing.access_log.log_lines import append, line, own
from tests.billing.world import Tenant, balance, make_meter, make_tenant, make_version
from tests.clocks import standing_at
from tests.concurrency.crowd import at_once

PER_CALL = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": "2"}
LATER = datetime(2026, 1, 16, tzinfo=UTC)
GONE = "auth_00000000000000000000000000"
_january = standing_at(datetime(2026, 1, 15, 12, tzinfo=UTC))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "tollgate.log"


def tenant() -> Tenant:
    make_meter("calls", aggregation="count")
    return make_tenant(make_version([PER_CALL]), balance="10", overdraft=Decimal(0))


def unread(payer: Tenant, log: Path, number: int = 1, **fields: str) -> None:
    """Lines of calls that cannot be settled: what they expected is no object."""
    broken = {"properties": "[1]"} | fields
    append(log, *[own(payer, **broken) for _ in range(number)])
    Ingester(log).run()


def mend(**fields: str) -> None:
    """What was in the way is gone: as if a later version could read the lines."""
    with_text = UnreadLine.objects.all()
    for row in with_text:
        UnreadLine.objects.filter(pk=row.pk).delete()
        row.text = row.text.replace('"properties": "[1]"', '"properties": "{}"')
        row.pk = None
        row.save()


def run(*words: str) -> tuple[str, str, int]:
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command("retry_access_log", *words, stdout=out, stderr=err)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return out.getvalue(), err.getvalue(), code


@pytest.mark.django_db
def test_a_line_that_can_be_settled_now_is_charged_once(log: Path) -> None:
    payer = tenant()
    unread(payer, log, 3)
    assert (Charge.objects.count(), AccessLog.objects.get().unread) == (0, 3)
    mend()
    clock.use(lambda: LATER)
    assert run() == ("3 lines tried again: 3 settled (3 events), 0 wait on.\n", "", 0)
    assert (balance(payer), Charge.objects.count()) == (Decimal(4), 3)
    assert run() == ("0 lines tried again: 0 settled, 0 wait on.\n", "", 0)
    row = UnreadLine.objects.first()
    assert row is not None
    assert (row.settled_at, row.outcome, row.settled_by) == (LATER, "events", "retry_access_log")
    counts = AccessLog.objects.get()
    assert (counts.lines, counts.events, counts.unread) == (3, 3, 0)
    assert Charge.objects.first().occurred_at == datetime(2026, 1, 15, 12, tzinfo=UTC)  # type: ignore[union-attr]


@pytest.mark.django_db
def test_a_line_that_cannot_be_settled_still_says_why_and_waits_on(log: Path) -> None:
    payer = tenant()
    append(log, line(tollgate="200", authorization=GONE))
    unread(payer, log)
    out, err, code = run()
    assert (out, code) == ("2 lines tried again: 0 settled, 2 wait on.\n", 1)
    assert "1 x unread: There is no auth_ object" in err
    assert AccessLog.objects.get().unread == waiting_lines().count() == 2
    assert set(UnreadLine.objects.values_list("tried_at", "settled_at")) == {(clock.now(), None)}


@pytest.mark.django_db
def test_a_log_that_was_never_read_is_a_mistake(log: Path) -> None:
    unread(tenant(), log)
    with pytest.raises(CommandError, match="No log was read from"):
        run(str(log) + "x")
    assert run(str(log))[2] == 1
    mend()
    assert run(str(log))[0] == "1 lines tried again: 1 settled (1 events), 0 wait on.\n"


@pytest.mark.django_db
def test_what_counted_meanwhile_is_known_and_not_charged_again(log: Path) -> None:
    payer = tenant()
    unread(payer, log)
    request = UnreadLine.objects.get()
    mended = request.text.replace("[1]", "{}")
    log.write_bytes(mended.encode() + b"\n")
    Ingester(log).run()
    mend()
    assert run()[0] == "1 lines tried again: 1 settled (1 known), 0 wait on.\n"
    assert (balance(payer), Charge.objects.count()) == (Decimal(8), 1)


@pytest.mark.django_db
def test_a_callers_key_is_kept_as_its_fingerprint_only_and_still_opens(log: Path) -> None:
    payer = tenant()
    key = issue_api_key(workspace=payer.workspace, name="caller").secret
    append(log, line(caller=f"Bearer {key}", properties="[1]"), line(api_key=key, properties="[1]"))
    Ingester(log).run()
    kept = list(UnreadLine.objects.values_list("text", "caller"))
    assert key is not None
    assert all(key not in text + caller and len(caller) == 64 for text, caller in kept)
    mend()
    assert run()[0] == "2 lines tried again: 2 settled (2 passed), 0 wait on.\n"
    assert balance(payer) == Decimal(6)


@pytest.mark.django_db
def test_a_fingerprint_in_a_line_of_the_log_opens_nothing(log: Path) -> None:
    payer = tenant()
    key = issue_api_key(workspace=payer.workspace, name="caller")
    append(log, line(caller=key.key.fingerprint))
    Ingester(log).run()
    assert (Charge.objects.count(), AccessLog.objects.get().quarantined) == (0, 1)


@pytest.mark.django_db
def test_from_which_status_calls_are_free_is_what_was_said_at_the_first_reading(log: Path) -> None:
    payer = tenant()
    append(log, own(payer, status="429", properties="[1]"))
    Ingester(log, free_from=500).run()
    append(log, own(payer, status="404", authorization=GONE))
    Ingester(log, free_from=400).run()
    assert sorted(UnreadLine.objects.values_list("free_from", flat=True)) == [400, 500]


@pytest.mark.django_db
def test_only_the_lines_of_one_log_are_tried_where_it_is_named(log: Path) -> None:
    payer = tenant()
    unread(payer, log)
    unread(payer, log.with_name("other.log"))
    mend()
    assert run(str(log))[0].startswith("1 lines tried again: 1 settled")
    assert waiting_lines().get().log.path.endswith("other.log")


@pytest.mark.django_db(transaction=True)
def test_two_who_try_at_once_settle_each_line_once(log: Path) -> None:
    payer = tenant()
    unread(payer, log, 5)
    mend()
    both = at_once([partial(retry_lines, waiting_lines(), by=name) for name in "ab"])
    assert sum(retried.settled for retried in both) == 5
    assert (Charge.objects.count(), balance(payer)) == (5, 0)
    counts = AccessLog.objects.get()
    assert (counts.unread, counts.events + counts.known) == (0, 5)


@pytest.mark.django_db
def test_a_crash_between_counting_and_noting_is_found_by_the_next_attempt(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer = tenant()
    unread(payer, log)
    mend()

    def dies(*arguments: object) -> bool:
        raise Unavailable("unavailable", "gone")

    with monkeypatch.context() as patch:
        patch.setattr("billing.access_log.retrying._note", dies)
        with pytest.raises(Unavailable):
            retry_lines(waiting_lines())
    assert (Charge.objects.count(), waiting_lines().count()) == (1, 1)
    assert retry_lines(waiting_lines()).counts == {"known": 1}
    assert (Charge.objects.count(), balance(payer)) == (1, Decimal(8))


@pytest.mark.django_db
def test_staff_try_again_on_the_page(log: Path) -> None:
    payer = tenant()
    unread(payer, log, 2)
    browser = Client()
    browser.force_login(add_to_staff(create_user(email="fi@example.com"), "finance"))
    assert "Try again" in browser.get("/gateway").content.decode()
    assert "counts once" in browser.get("/gateway/retry/ask").content.decode()
    assert browser.get("/gateway/retry").status_code == 405
    assert "Waiting on: 2" in browser.post("/gateway/retry", follow=True).content.decode()
    mend()
    answer = browser.post("/gateway/retry", follow=True).content.decode()
    assert "Settled: 2 lines" in answer
    assert "Every line was settled" in answer
    assert set(UnreadLine.objects.values_list("settled_by", flat=True)) == {"fi@example.com"}


@pytest.mark.django_db
def test_who_may_only_look_does_not_try(log: Path) -> None:
    unread(tenant(), log)
    browser = Client()
    browser.force_login(add_to_staff(create_user(email="v@example.com"), "read_only"))
    assert "Try again" not in browser.get("/gateway").content.decode()
    assert browser.post("/gateway/retry").status_code in (403, 404)
    assert waiting_lines().count() == 1

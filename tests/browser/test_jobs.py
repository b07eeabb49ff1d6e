"""The pages of jobs in a browser: nothing wrong in light and dark, on a desktop and a phone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django.live_server_helper import LiveServer

from accounts.users import add_to_staff, create_user
from core import clock
from core.jobs import catalogue, find_job, jobs, request_run, run_job
from core.jobs.parking import park
from core.jobs.running import Trigger, start
from core.models import Heartbeat, ParkedMessage
from tests.browser.checks import check_page
from tests.browser.conftest import Cookies, OpenPage

pytestmark = pytest.mark.django_db(transaction=True)
CLOSE = "billing.tasks.close_periods"


@pytest.fixture
def parked(monkeypatch: pytest.MonkeyPatch) -> str:
    """Jobs that went well, one that fails, one that runs, one that somebody asked for; a parked message."""

    def fail() -> None:
        raise RuntimeError(
            "period 7 of be_00000001 has no version at 2026-03-01T00:00:00Z, which should not be"
        )

    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "import_string", lambda path: fail)
        for _ in range(3):
            run_job(find_job(CLOSE), Trigger.SCHEDULE)
    for job in jobs()[:3]:
        run_job(job, Trigger.SCHEDULE)
    start("billing.tasks.run_simulations", Trigger.SCHEDULE, due_at=None, message_id="")
    request_run(find_job("billing.tasks.watch_margins"), "ops@operator.example")
    for kind, age in (("beat", 300), ("worker", 2)):
        seen = clock.system_now() - timedelta(seconds=age)
        Heartbeat.objects.create(name=kind, kind=kind, started_at=seen, seen_at=seen)
    body = b'{"task": "billing.tasks.of_tomorrow", "authorization": "Bearer abcdefghijkl0"}'
    message = park(
        ParkedMessage.Reason.UNKNOWN_TASK,
        "There is no task 'billing.tasks.of_tomorrow' here.",
        task="billing.tasks.of_tomorrow",
        body=body,
        content_type="application/json",
    )
    assert message is not None
    return message.public_id


@pytest.fixture
def cookies(cookies_of: object, live_server: LiveServer) -> Cookies:
    user = add_to_staff(create_user(email="ops@operator.example"), "ops")
    found: Cookies = cookies_of(user, live_server.url)  # type: ignore[operator]
    return found


def test_the_pages_of_jobs_are_whole(
    parked: str, cookies: Cookies, live_server: LiveServer, open_page: OpenPage
) -> None:
    for path in ("/jobs", f"/jobs/{CLOSE}", f"/parked-messages/{parked}"):
        check_page(open_page, f"{live_server.url}{path}", cookies)


def test_a_job_is_run_now_by_keyboard_alone(
    parked: str, cookies: Cookies, live_server: LiveServer, open_page: OpenPage
) -> None:
    page = open_page(f"{live_server.url}/jobs/core.tasks.clear_sessions", cookies=cookies)
    page.get_by_role("link", name="Run now").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.get_by_role("button", name="Run now").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Asked for.").wait_for()
    assert page.get_by_text("asked for by ops@operator.example").is_visible()

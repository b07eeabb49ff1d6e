"""Jobs: what is scheduled and how each does, a job's history, and running one now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from accounts.permissions import Right, may
from accounts.staff_pages import staff_page
from billing.reports.lags import lag_text
from billing.views.parked_messages import PARKED, waiting
from billing.views.price_changes import name_of
from core.display.html import ABSENT
from core.jobs import JobState, find_job, job_states, pulse, request_run
from core.models import JobRun
from core.pages import columns
from core.pages.cells import custom_column, with_sub
from core.pages.choices import Words, filter_by
from core.pages.confirm import Confirmation, ask
from core.pages.listing import Listing, fragment

SILENCE: Final = "Nothing of what is due runs by itself while this lasts; manage.py run_due runs it."


def unbroken(text: str) -> str:
    """A span of time that no line breaks; nothing stays nothing."""
    return format_html('<span class="ago">{}</span>', text) if text else ""


def took(run: JobRun | None) -> str:
    """How long a run took: `40 ms`, `59 min`."""
    return unbroken("" if run is None or run.seconds is None else lag_text(timedelta(seconds=run.seconds)))


def since(at: datetime | None, now: datetime) -> str:
    """How long ago, by the machine's clock, which jobs go by whatever a test clock says."""
    return unbroken("" if at is None else f"{lag_text(max(timedelta(0), now - at))} ago")


def next_cell(state: JobState) -> str:
    """When it is due again: `in 20 s`, `now`, or for how long it should have run."""
    if state.is_running:
        return "when it ends"
    if state.request is not None:
        return with_sub("now", f"asked for by {state.request.asked_by}")
    wait = state.next_at - state.now
    return unbroken(f"in {lag_text(wait)}") if wait > timedelta(0) else "now"


def trouble_cell(state: JobState) -> str:
    """How often it failed in a row, and with what."""
    if not state.failures:
        return ABSENT
    return with_sub(f"{state.failures} in a row", state.error or "see its history")


def cause_cell(run: JobRun) -> str:
    """What started a run, and who asked for it."""
    return with_sub(run.get_trigger_display(), run.request.asked_by if run.request else "")


JOBS = Listing(
    key="jobs",
    title="Jobs",
    prefix="j-",
    columns=(
        columns.text("job.title", "Job", sort=None, sub="job.does"),
        columns.text("job.interval", "Every", sort=None),
        columns.status("status", "State", sort=None),
        custom_column(
            "last_run",
            "Last run",
            lambda row, reader: since(row.last.started_at, row.now) if row.last else ABSENT,
            csv=lambda row: row.last.started_at if row.last else "",
        ),
        custom_column(
            "took",
            "Took",
            lambda row, reader: took(row.last) or ABSENT,
            is_numeric=True,
            csv=lambda row: row.last.seconds if row.last else "",
        ),
        custom_column("next", "Next", lambda row, reader: next_cell(row), csv=lambda row: row.next_at),
        custom_column(
            "lag",
            "Late by",
            lambda row, reader: unbroken(lag_text(row.lag)) if row.lag else ABSENT,
            is_numeric=True,
            hint="For how long it should have run and did not",
            csv=lambda row: row.lag.total_seconds(),
        ),
        custom_column(
            "failures", "Failures", lambda row, reader: trouble_cell(row), csv=lambda row: row.failures
        ),
        columns.text("job.name", "Task", sort=None).extra(),
    ),
    row_url=lambda row: reverse("job", args=[row.job.name]),
    empty_title="Nothing is scheduled",
    empty_text="config/schedule.py has no rows.",
)
RUNS = Listing(
    key="job-runs",
    title="History",
    columns=(
        columns.instant("started_at", "Began", sort=None, precision="second"),
        columns.status("status", "Outcome", sort=None),
        custom_column(
            "took",
            "Took",
            lambda row, reader: took(row) or ABSENT,
            is_numeric=True,
            csv=lambda row: row.seconds,
        ),
        custom_column(
            "waited",
            "Waited",
            lambda row, reader: unbroken(lag_text(timedelta(seconds=row.waited))),
            is_numeric=True,
            hint="From when it was due to its start",
            csv=lambda row: row.waited,
        ),
        custom_column(
            "trigger", "Because of", lambda row, reader: cause_cell(row), csv=lambda row: row.trigger
        ),
        columns.text("error", "Error", sort=None),
        columns.instant("as_if_at", "As if it were", sort=None).extra(),
        columns.text("process", "Process", sort=None).extra(),
        columns.identifier("public_id", "Id").extra(),
    ),
    order=("-id",),
    filters=filter_by(Words("status", "status", JobRun.Status.choices)),
    empty_title="It has not run yet",
    empty_text="Good runs are kept for a day, the others for a month.",
)


@staff_page()
def job_list(request: HttpRequest) -> HttpResponseBase:
    """Every job, who is alive, and what was parked."""
    states, alive = sorted(job_states(), key=urgency), pulse()
    tables = JOBS.table(request, states), PARKED.table(request, waiting())
    if request.GET.get("j-export") == "csv":
        return JOBS.csv(request, states)
    context = {
        "table": tables[0],
        "parked": tables[1],
        "pulse": alive,
        "silence": SILENCE,
        "beat_since": since(alive.beat_at, alive.now),
        "worker_since": since(alive.worker_at, alive.now),
        "failing": sum(1 for state in states if state.failures),
        "late": sum(1 for state in states if state.is_overdue),
    }
    return fragment(request, *tables) or render(request, "billing/jobs/list.html", context)


def urgency(state: JobState) -> tuple[bool, bool]:
    """What fails first, then what is late; the rest in the order of the schedule."""
    return not state.failures, not state.is_overdue


@staff_page()
def job(request: HttpRequest, name: str) -> HttpResponseBase:
    """One job: how it stands, and its runs."""
    found = find_job(name)
    state = job_states([found])[0]
    context = {
        "state": state,
        "took": took(state.last),
        "next": next_cell(state),
        "last_run": since(state.last.started_at if state.last else None, state.now),
        "good": since(state.good_at, state.now),
        "lag": unbroken(lag_text(state.lag)) if state.lag else "",
        "may_run": may(request.user, Right.RUN_JOBS),
        "crumbs": [("Jobs", reverse("jobs")), (found.title, "")],
    }
    runs = JobRun.objects.filter(job=name).select_related("request")
    return RUNS.respond(request, runs, "billing/jobs/job.html", context)


@staff_page(Right.RUN_JOBS)
def ask_run_job(request: HttpRequest, name: str) -> HttpResponseBase:
    """Say what running it now does."""
    found = find_job(name)
    question = Confirmation(
        title=f"Run “{found.title}” now?",
        effect=f"{found.does}. It does what is due; what is done already it does not do twice.",
        verb="Run now",
        url=reverse("job_run", args=[name]),
        back_url=reverse("job", args=[name]),
        facts=[("Task", name)],
    )
    return ask(request, question)


@require_POST
@staff_page(Right.RUN_JOBS)
def run_job_now(request: HttpRequest, name: str) -> HttpResponseBase:
    """Ask for a run: a worker takes it within seconds."""
    request_run(find_job(name), name_of(request))
    messages.success(
        request, "Asked for. A worker begins within seconds; its run then stands in the history."
    )
    return redirect("job", name)

"""Asking for a simulation, and calling it off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db import transaction

from core import clock
from core.errors import Conflict, InvalidRequest
from pricing.catalog import Catalog
from pricing.cycles import Period
from pricing.models import PlanVersion, Simulation
from pricing.simulation import Cohort, compile_catalog, compile_content

VERSIONS_MAX: Final = 10
LONGEST: Final = timedelta(days=1100)
GROWS_BY: Final = Decimal(10)
"""Percent; who asks for no other is told of every bill that grows by more than this."""

QUEUED, RUNNING, CANCELED = (
    Simulation.Status.QUEUED,
    Simulation.Status.RUNNING,
    Simulation.Status.CANCELED,
)


def request_simulation(
    versions: Sequence[PlanVersion],
    contents: Sequence[Mapping[str, Any]] = (),
    *,
    starts_at: datetime,
    ends_at: datetime,
    cohort: Cohort | None = None,
    grows_by: Decimal = GROWS_BY,
    created_by: str = "",
) -> Simulation:
    """Queue a simulation of stored versions and hypothetical contents (plan documents), side by side.

    The window ends now at the latest. Raises InvalidRequest for an empty or too long window, for no or too
    many versions; CatalogError for content that is no plan.
    """
    now = clock.now()
    wanted = [_of_version(version) for version in versions] + [_of_content(each) for each in contents]
    if not 1 <= len(wanted) <= VERSIONS_MAX:
        raise InvalidRequest(
            "invalid_value", f"Name 1 to {VERSIONS_MAX} versions and contents together.", "versions"
        )
    return Simulation.objects.create(
        versions=wanted,
        cohort=(cohort or Cohort()).as_dict(),
        **_window(starts_at, ends_at, now),
        grows_by=grows_by,
        created_by=created_by,
        created_at=now,
    )


def cancel_simulation(simulation: Simulation) -> Simulation:
    """Call it off; what it has found so far stays. Raises Conflict when it has ended already."""
    with transaction.atomic():
        row = Simulation.objects.select_for_update().get(pk=simulation.pk)
        if row.status == CANCELED:
            return row
        if row.status not in (QUEUED, RUNNING):
            raise Conflict("simulation_ended", f"{row.public_id} is {row.status} already.")
        row.status, row.finished_at = CANCELED, clock.now()
        row.save(update_fields=["status", "finished_at"])
    return row


def window_of(simulation: Simulation) -> Period:
    """The window of a simulation."""
    return Period(simulation.starts_at, simulation.ends_at)


def documents_in(catalog: Catalog) -> list[dict[str, Any]]:
    """The plans of files as documents, each with the meters that the files define."""
    meters = [
        {"key": key, "name": spec.name, "unit": spec.unit, **spec.document}
        for key, spec in catalog.meters.items()
    ]
    compile_catalog(catalog)
    return [terms.content() | ({"meters": meters} if meters else {}) for terms in catalog.plans.values()]


def _window(starts_at: datetime, ends_at: datetime, now: datetime) -> dict[str, datetime]:
    ends_at = min(ends_at, now)
    if starts_at >= ends_at:
        raise InvalidRequest(
            "invalid_period", "The window must begin in the past and end after that.", "from"
        )
    if ends_at - starts_at > LONGEST:
        raise InvalidRequest("window_too_long", f"A window may have {LONGEST.days} days at most.", "from")
    return {"starts_at": starts_at, "ends_at": ends_at}


def _of_version(version: PlanVersion) -> dict[str, Any]:
    return {
        "label": version.public_id,
        "plan": version.plan.key,
        "number": version.number,
        "content": version.content,
    }


def _of_content(content: Mapping[str, Any]) -> dict[str, Any]:
    candidate = compile_content(content, "contents")
    return {"label": "content", "plan": candidate.terms.key, "number": None, "content": dict(content)}

"""Plan versions: which is the latest, from draft to published, from published to retired.

Order of locks: plans, meters, versions, each in id order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Max, OuterRef, QuerySet, Subquery

from core import clock
from core.database_errors import explain_constraint
from core.errors import Conflict, InvalidRequest, Unprocessable
from metering.catalogue import compile_meter, freeze_meters
from metering.models import Meter
from pricing.catalog import PlanTerms, content_hash, phase_terms, read_plan
from pricing.models import Component, Plan, PlanVersion

DRAFT, PUBLISHED = PlanVersion.Status.DRAFT, PlanVersion.Status.PUBLISHED
RETIRED: Final = PlanVersion.Status.RETIRED


def own_versions(plan: Plan) -> QuerySet[PlanVersion]:
    """The plan's own versions, which are for everyone; contracts and phases of ramps are not among them."""
    return plan.versions.filter(base=None)


def latest_published(plan: Plan) -> PlanVersion | None:
    """The plan's newest version that is published and not retired; contracts do not count."""
    rows = own_versions(plan).filter(status=PUBLISHED)
    return rows.select_related("plan").order_by("-number").first()


def with_versions() -> QuerySet[Plan]:
    """Plans with the ids of their draft (`draft_id`) and of the latest published version (`published_id`)."""
    rows = PlanVersion.objects.filter(plan=OuterRef("pk"), base=None).order_by("-number").values("pk")
    return Plan.objects.annotate(
        draft_id=Subquery(rows.filter(status=DRAFT)[:1]),
        published_id=Subquery(rows.filter(status=PUBLISHED)[:1]),
    )


def publish_version(version: PlanVersion) -> PlanVersion:
    """Freeze a draft and the meters that it names; from now on subscriptions may start on it.

    The phases of its ramp become versions of their own with it. Raises Conflict `not_a_draft` when it was
    published before, InvalidRequest when a meter has changed since and the draft no longer fits it.
    """
    now = clock.now()
    with transaction.atomic():
        plan = Plan.objects.select_for_update().get(pk=version.plan_id)
        version = PlanVersion.objects.select_for_update().get(pk=version.pk)
        if version.status != DRAFT:
            raise Conflict("not_a_draft", f"{plan.key} v{version.number} is {version.status} already.")
        meters = lock_meters(read_plan(version.content).meters)
        terms = freeze_version(version, meters, now)
        plan.name, plan.family = terms.name, terms.family
        plan.save(update_fields=["name", "family"])
    version.plan = plan
    return version


def retire_version(version: PlanVersion) -> PlanVersion:
    """Let nobody start on a version any more; whoever is on it stays.

    Raises Conflict `not_published` for a draft, or when it was retired before.
    """
    now = clock.now()
    with transaction.atomic():
        plan = Plan.objects.select_for_update().get(pk=version.plan_id)
        version = PlanVersion.objects.select_for_update().get(pk=version.pk)
        version.plan = plan
        if version.status != PUBLISHED:
            raise Conflict("not_published", f"{version} is {version.status}: only a published one retires.")
        version.status, version.retired_at = RETIRED, now
        version.save(update_fields=["status", "retired_at"])
    return version


def check_startable(version: PlanVersion, customer_id: int) -> None:
    """Raise Unprocessable unless a subscription of that customer may start on the version, or move to it."""
    says, code = "", "not_published"
    if version.status != PUBLISHED:
        says = f"{version} is {version.status}: subscriptions start on published ones."
    elif version.customer_id not in (None, customer_id):
        says, code = f"{version} is the contract of another customer.", "contract_of_another"
    elif version.phase is not None:
        says, code = f"{version} begins by itself: start on the version that ramps.", "phase_of_a_ramp"
    if says:
        raise Unprocessable(code, says, "plan_version")


def freeze_version(version: PlanVersion, meters: Iterable[Meter], now: datetime) -> PlanTerms:
    """Publish a locked draft whose components are written, and the phases of its ramp; gives its terms.

    `meters` are those that it names, locked. Raises InvalidRequest when it does not fit them.
    """
    known = {meter.key: meter for meter in meters}
    aggregations = {key: meter.aggregation for key, meter in known.items()}
    terms = read_plan(version.content, aggregations=aggregations)
    for key in terms.meters:
        if key not in known:
            raise InvalidRequest("unknown_meter", f"There is no meter {key!r}, or it is archived.")
    freeze_meters([compile_meter(meter) for meter in known.values()], now)
    version.status, version.published_at = PUBLISHED, now
    version.save(update_fields=["status", "published_at"])
    for number in range(1, len(terms.ramps) + 1):
        _add_phase(version, number, phase_terms(terms, number), known, now)
    return terms


def next_number(rows: QuerySet[PlanVersion]) -> int:
    """The number of the next version among those of `rows`, whose plan is locked."""
    return (rows.aggregate(last=Max("number"))["last"] or 0) + 1


def lock_meters(keys: Iterable[str]) -> list[Meter]:
    """The meters in use that have these keys, locked. (No new plan may rest on an archived one.)"""
    in_use = Meter.objects.filter(key__in=list(keys), archived_at=None)
    return list(in_use.order_by("pk").select_for_update())


def write_components(draft: PlanVersion, terms: PlanTerms, meters: Mapping[str, Meter]) -> None:
    """Make the draft's components those of its terms."""
    draft.components.all().delete()
    Component.objects.bulk_create(
        [
            Component(
                version=draft,
                key=part.key,
                meter=meters[part.meter],
                definition=part.definition,
                position=position,
            )
            for position, part in enumerate(terms.components)
        ]
    )


def _add_phase(
    version: PlanVersion, number: int, terms: PlanTerms, meters: Mapping[str, Meter], now: datetime
) -> None:
    content = terms.content()
    phase = PlanVersion.objects.create(
        plan_id=version.plan_id,
        number=version.number,
        base=version,
        customer_id=version.customer_id,
        phase=number,
        content=content,
        content_hash=content_hash(content),
        created_at=now,
    )
    write_components(phase, terms, meters)
    phase.status, phase.published_at = PUBLISHED, now
    phase.save(update_fields=["status", "published_at"])


explain_constraint(
    "contract_of_its_customer",
    Unprocessable,
    "contract_of_another",
    "The version is the contract of another customer.",
    "plan_version",
)

"""The verbs of plans: apply what files define, publish what was applied.

Order of locks: plans, meters, versions, each in id order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import Currency
from core import clock
from core.currencies import ISO_DECIMALS
from core.errors import InvalidRequest
from metering.models import Meter
from pricing.applied import Action, Applied
from pricing.catalog import (
    Catalog,
    CatalogError,
    Document,
    PlanTerms,
    Problem,
    content_hash,
    read_catalog,
    read_plan,
)
from pricing.catalog_meters import apply_cost_rates, apply_meters
from pricing.coupons import apply_coupons
from pricing.models import Plan, PlanVersion
from pricing.rating import read_component
from pricing.versions import (
    DRAFT,
    PUBLISHED,
    lock_meters,
    next_number,
    own_versions,
    publish_version,
    write_components,
)

__all__ = ["apply_catalog", "apply_plan", "publish_drafts", "publish_version"]


def apply_plan(document: Mapping[str, Any]) -> PlanVersion:
    """Make or update the draft of the one plan in a JSON document, and the meters that stand beside it.

    Gives the draft, or the published version when that is the same. Raises CatalogError.
    """
    return apply_single(read_catalog([Document(dict(document))]))


def apply_single(catalog: Catalog) -> PlanVersion:
    """The same for a catalog that holds one plan."""
    if len(catalog.plans) != 1:
        raise InvalidRequest("invalid_value", "The document must hold one plan.", "plan")
    return next(one.version for one in apply_catalog(catalog) if one.version is not None)


def apply_catalog(catalog: Catalog) -> list[Applied]:
    """Make the database's meters, cost rates and drafts as the files say: all of it, or nothing.

    Raises CatalogError with all that stands against it.
    """
    now = clock.now()
    with transaction.atomic():
        plans = _lock_plans(catalog, now)
        named = {meter for terms in catalog.plans.values() for meter in terms.meters}
        lock_meters(named | catalog.meters.keys())
        done, problems = apply_meters(catalog)
        rates, more = apply_cost_rates(catalog)
        meters = {meter.key: meter for meter in lock_meters(named)}
        problems += more + _misfits(catalog, plans, meters)
        coupons, more = apply_coupons(catalog, now)
        problems += more
        if problems:
            raise CatalogError(problems)
        drafts = [_apply_draft(plans[key], terms, meters, now) for key, terms in catalog.plans.items()]
    return [*done, *rates, *coupons, *drafts]


def publish_drafts(keys: Iterable[str] | None = None) -> list[PlanVersion]:
    """Publish the drafts of these plans (None: of all), or none of them; raises as `publish_version`."""
    drafts = PlanVersion.objects.filter(status=DRAFT, base=None).order_by("plan_id")
    if keys is not None:
        drafts = drafts.filter(plan__key__in=list(keys))
    with transaction.atomic():
        plans = Plan.objects.filter(pk__in=drafts.values("plan_id")).order_by("pk").select_for_update()
        found = list(drafts.filter(plan__in=list(plans)))
        lock_meters({meter for draft in found for meter in read_plan(draft.content).meters})
        return [publish_version(draft) for draft in found]


def _lock_plans(catalog: Catalog, now: datetime) -> dict[str, Plan]:
    rows = [
        Plan(key=key, family=terms.family, name=terms.name, currency=terms.currency, created_at=now)
        for key, terms in sorted(catalog.plans.items())
    ]
    Plan.objects.bulk_create(rows, ignore_conflicts=True)
    locked = Plan.objects.filter(key__in=list(catalog.plans)).order_by("pk").select_for_update()
    return {plan.key: plan for plan in locked}


def _misfits(catalog: Catalog, plans: Mapping[str, Plan], meters: Mapping[str, Meter]) -> list[Problem]:
    """What only the database knows: meters, currencies, and what a published version has fixed."""
    problems = catalog.unknown_meters(meters)
    units = set(Currency.objects.values_list("code", flat=True))
    fixed = set(PlanVersion.objects.exclude(status=DRAFT).values_list("plan_id", flat=True))
    for key, terms in catalog.plans.items():
        if terms.currency not in ISO_DECIMALS and terms.currency not in units:
            says = f"There is no currency {terms.currency!r}: take an ISO 4217 code or one of your own units."
            problems.append(catalog.problem("unknown_currency", says, "plans", key, "currency"))
        elif plans[key].pk in fixed and plans[key].currency != terms.currency:
            says = f"Plan {key!r} is in {plans[key].currency}, and that stays: one plan per currency."
            problems.append(catalog.problem("currency_fixed", says, "plans", key, "currency"))
        for index, part in enumerate(terms.components):
            meter = meters.get(part.meter)
            if meter is None or meter.aggregation != Meter.Aggregation.MAX:
                continue
            try:
                read_component(part.definition, f"components[{index}]", "max")
            except InvalidRequest as error:
                problems.append(catalog.problem(error.code, error.message, "plans", key, error.param or ""))
    return problems


def _apply_draft(plan: Plan, terms: PlanTerms, meters: Mapping[str, Meter], now: datetime) -> Applied:
    """Make the plan's draft as the file says; without one when the latest published version is the same."""
    content = terms.content()
    content_sha = content_hash(content)
    draft = own_versions(plan).filter(status=DRAFT).select_for_update().first()
    latest = own_versions(plan).exclude(status=DRAFT).order_by("-number").first()
    if latest is not None and latest.status == PUBLISHED and latest.content_hash == content_sha:
        if draft is None:
            return Applied("plan", plan.key, Action.UNCHANGED, latest)
        draft.components.all().delete()
        draft.delete()
        return Applied("plan", plan.key, Action.WITHDRAWN, latest)
    if draft is not None and draft.content_hash == content_sha:
        return Applied("plan", plan.key, Action.UNCHANGED, draft)
    action = Action.CREATED if draft is None else Action.CHANGED
    if draft is None:
        draft = PlanVersion(plan=plan, number=next_number(own_versions(plan)), created_at=now)
    draft.content, draft.content_hash = content, content_sha
    draft.save()
    write_components(draft, terms, meters)
    if latest is None:
        plan.name, plan.family, plan.currency = terms.name, terms.family, terms.currency
        plan.save(update_fields=["name", "family", "currency"])
    return Applied("plan", plan.key, action, draft)

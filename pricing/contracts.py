"""Contracts: a customer's own version of a plan, made from a base by overrides (docs/adr/0008)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from accounts.models import Customer
from core import clock
from core.errors import InvalidRequest, Unprocessable
from pricing.catalog import PlanTerms, content_hash, read_plan
from pricing.catalog.catalog import refuse_bare_decimals
from pricing.catalog.overrides import apply_overrides, placed
from pricing.models import Plan, PlanVersion
from pricing.versions import DRAFT, PUBLISHED, freeze_version, lock_meters, next_number, write_components


def create_contract(base: PlanVersion, customer: Customer, overrides: Mapping[str, Any]) -> PlanVersion:
    """The customer's own version: `base` with the overrides in it, whole, published and immutable at once.

    `overrides` are those of docs/plan-files.md. Only this customer may be on it; the plan's own versions,
    and which of them is the latest, stay as they are. When the customer's latest contract of this plan says
    the same, that one is given. Locks the plan, then the meters.

    Raises Unprocessable for a base that is a draft, a phase of a ramp, or another customer's contract;
    InvalidRequest, whose param begins with `overrides`, for overrides that do not fit.
    """
    now = clock.now()
    with transaction.atomic():
        plan = Plan.objects.select_for_update().get(pk=base.plan_id)
        base = PlanVersion.objects.get(pk=base.pk)
        base.plan = plan
        _check_base(base, customer)
        refuse_bare_decimals(overrides, "overrides")
        raw, terms = _overridden(base, overrides)
        meters = {meter.key: meter for meter in lock_meters(terms.meters)}
        terms = _read(raw, {key: meter.aggregation for key, meter in meters.items()})
        _refuse_unknown_meters(terms, meters)
        content = terms.content()
        contracts = PlanVersion.objects.filter(plan=plan, customer=customer, phase=None)
        latest = contracts.filter(status=PUBLISHED).order_by("-number").first()
        if latest is not None and latest.content_hash == content_hash(content):
            latest.plan = plan
            return latest
        contract = PlanVersion.objects.create(
            plan=plan,
            number=next_number(contracts),
            base=base,
            customer=customer,
            content=content,
            content_hash=content_hash(content),
            created_at=now,
        )
        write_components(contract, terms, meters)
        freeze_version(contract, meters.values(), now)
    return contract


def _check_base(base: PlanVersion, customer: Customer) -> None:
    says = ""
    if base.status == DRAFT:
        says = f"{base} is a draft: a contract is derived from what was published."
    elif base.phase is not None:
        says = f"{base} is a phase: derive from the version that ramps."
    elif base.customer_id not in (None, customer.pk):
        says = f"{base} is another customer's contract."
    if says:
        raise Unprocessable("not_a_base", says, "base")


def _overridden(base: PlanVersion, overrides: Mapping[str, Any]) -> tuple[dict[str, Any], PlanTerms]:
    raw = apply_overrides(base.content, overrides)
    return raw, _read(raw, {})


def _read(raw: Mapping[str, Any], aggregations: Mapping[str, str]) -> PlanTerms:
    try:
        return read_plan(raw, aggregations=aggregations)
    except InvalidRequest as error:
        raise placed(error, raw, "overrides") from None


def _refuse_unknown_meters(terms: PlanTerms, meters: Mapping[str, Any]) -> None:
    for part in terms.components:
        if part.meter not in meters:
            raise InvalidRequest(
                "unknown_meter",
                f"There is no meter {part.meter!r} in use.",
                f"overrides.components.{part.key}.meter",
            )
    for key in terms.meters:
        if key not in meters:
            raise InvalidRequest("unknown_meter", f"There is no meter {key!r} in use.", "overrides")

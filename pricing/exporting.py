"""What is published, as plan files: applying them changes nothing, and makes the same plans elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core.errors import NotFound, Unprocessable
from metering.models import Meter
from pricing.catalog.yaml_out import write_documents
from pricing.models import Plan, PlanVersion
from pricing.terms import terms_of
from pricing.versions import latest_published


def export_plans(keys: Iterable[str] = ()) -> str:
    """The latest published versions of these plans (none named: of all that have one) as one YAML file.

    The meters that they name come first. Raises NotFound for a plan that there is not, Unprocessable for a
    named one of which nothing is published.
    """
    wanted = list(dict.fromkeys(keys))
    plans = Plan.objects.order_by("key")
    if wanted:
        found = plans.in_bulk(wanted, field_name="key")
        missing = [key for key in wanted if key not in found]
        if missing:
            raise NotFound("not_found", f"There is no plan {missing[0][:80]!r}.")
        plans_found = [found[key] for key in wanted]
    else:
        plans_found = list(plans)
    versions = {plan.key: latest_published(plan) for plan in plans_found}
    for key in wanted:
        if versions[key] is None:
            raise Unprocessable("nothing_published", f"No version of the plan {key!r} is published.")
    return export_versions(version for version in versions.values() if version is not None)


def export_versions(versions: Iterable[PlanVersion]) -> str:
    """These versions as one YAML file: a document with their meters, then one for each."""
    versions = list(versions)
    named = {meter for version in versions for meter in terms_of(version).meters}
    meters = [_meter(meter) for meter in Meter.objects.filter(key__in=named).order_by("key")]
    documents: list[Mapping[str, Any]] = [{"meters": meters}] if meters else []
    return write_documents([*documents, *(version.content for version in versions)])


def _meter(meter: Meter) -> dict[str, Any]:
    """As the section `meters` has it, without what says nothing."""
    labels = {"name": meter.name, "unit": meter.unit, "late_policy": meter.late_policy}
    whole = {"key": meter.key} | labels | meter.definition()
    silent = {"name": meter.key, "unit": "", "late_policy": Meter.LatePolicy.DELTA_LINE}
    return {
        name: value
        for name, value in whole.items()
        if value not in (None, False, [], ()) and silent.get(name) != value
    }

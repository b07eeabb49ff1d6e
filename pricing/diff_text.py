"""A diff of plan files as lines for people, as `manage.py plans diff` prints them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from core.numbers import plain
from pricing.applied import Action
from pricing.catalog.diff import Change, Kind
from pricing.plan_diffs import CatalogDiff, PlanDiff

SIGNS: Final = {Kind.ADDED: "+", Kind.REMOVED: "-", Kind.CHANGED: "~"}
LENGTH_MAX: Final = 60


def diff_lines(diff: CatalogDiff) -> Iterator[str]:
    """One line for each plan and each of its changes, then what else would change."""
    for plan in diff.plans:
        yield _plan_line(plan)
        for change in plan.diff.changes if plan.against is not None else ():
            yield f"  {SIGNS[change.kind]} {change.path}: {_said(change)}{_touched(plan, change)}"
    for other in diff.others:
        if other.action is not Action.UNCHANGED:
            yield f"{other.noun} {other.key}: {other.action}"
    if not diff.has_changes:
        yield "No change."


def _plan_line(plan: PlanDiff) -> str:
    if plan.against is None:
        return f"plan {plan.key}: new"
    running = _counted(plan.revenue.subscriptions, "running subscription")
    line = f"plan {plan.key}: "
    line += "no change" if not plan.diff else f"{_counted(len(plan.diff.changes), 'change')}"
    line += f" against v{plan.against.number}, which has {running}"
    if plan.revenue.subscriptions:
        line += f" ({plain(plan.revenue.total)} {plan.currency} in their last period)"
    return line + (f"; {plan.elsewhere} on other versions" if plan.elsewhere else "")


def _said(change: Change) -> str:
    old, new = _shown(change.old), _shown(change.new)
    if change.kind is Kind.CHANGED:
        return f"{old} -> {new}"
    return new if change.kind is Kind.ADDED else old


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and "model" in value:
        return f"{value['model']} on {value['meter']}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LENGTH_MAX else f"{text[: LENGTH_MAX - 3]}..."


def _touched(plan: PlanDiff, change: Change) -> str:
    touched = plan.touched_by(change)
    if not plan.revenue.subscriptions:
        return ""
    revenue = f", {plain(touched.revenue)} {plan.currency}" if touched.revenue else ""
    return f" [{_counted(touched.subscriptions, 'subscription')}{revenue}]"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

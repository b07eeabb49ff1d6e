"""A customer's payers: balance, way of settling, subscriptions; and its workspaces: who pays since when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.models import BillingEntity, Currency, Organization, PayerAssignment, Workspace
from accounts.scoping import Viewer, visible
from billing.balances import Balance, balances_of
from billing.reports.customer import CustomerFrame
from pricing.models import Subscription


@dataclass(frozen=True, slots=True)
class PayerFacts:
    """A payer with its balance now and its subscriptions, the latest first."""

    payer: BillingEntity
    balance: Balance
    unit: str | Currency
    subscriptions: Sequence[Subscription]


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A line of the tree, `depth` steps in: an organization, or a workspace with who pays for it.

    `assignment` is the one in force; `later` the next one, `earlier` those that are over, the latest first.
    """

    depth: int
    organization: Organization | None = None
    workspace: Workspace | None = None
    assignment: PayerAssignment | None = None
    later: PayerAssignment | None = None
    earlier: Sequence[PayerAssignment] = ()


def payer_facts(
    viewer: Viewer, frame: CustomerFrame, units: Mapping[str, Currency], now: datetime
) -> list[PayerFacts]:
    """The payers of a customer, in three statements."""
    balances = balances_of(frame.payers, now)
    subscriptions: defaultdict[int, list[Subscription]] = defaultdict(list)
    found = visible(Subscription, viewer).filter(customer=frame.customer).select_related("version__plan")
    for subscription in found.order_by("-starts_at", "-pk"):
        subscriptions[subscription.billing_entity_id].append(subscription)
    return [
        PayerFacts(
            payer, balances[payer.pk], units.get(payer.currency, payer.currency), subscriptions[payer.pk]
        )
        for payer in frame.payers
    ]


def workspace_tree(viewer: Viewer, frame: CustomerFrame, now: datetime) -> list[TreeRow]:
    """Organizations with their workspaces below them, then workspaces of none; in three statements."""
    own = {"customer": frame.customer}
    organizations = list(visible(Organization, viewer).filter(**own).order_by("name", "pk"))
    workspaces = list(visible(Workspace, viewer).filter(**own).order_by("name", "pk"))
    assignments: defaultdict[int, list[PayerAssignment]] = defaultdict(list)
    rows = visible(PayerAssignment, viewer).filter(**own).select_related("billing_entity")
    for assignment in rows:
        assignments[assignment.workspace_id].append(assignment)
    spaces: defaultdict[int | None, list[Workspace]] = defaultdict(list)
    for workspace in workspaces:
        spaces[workspace.organization_id].append(workspace)
    children: defaultdict[int | None, list[Organization]] = defaultdict(list)
    for organization in organizations:
        children[organization.parent_id].append(organization)

    def walk(parent: int | None, depth: int) -> Iterator[TreeRow]:
        for organization in children[parent]:
            yield TreeRow(depth, organization=organization)
            yield from (
                _leaf(space, depth + 1, assignments[space.pk], now) for space in spaces[organization.pk]
            )
            yield from walk(organization.pk, depth + 1)

    return [*walk(None, 0), *(_leaf(space, 0, assignments[space.pk], now) for space in spaces[None])]


def _leaf(workspace: Workspace, depth: int, assignments: Sequence[PayerAssignment], now: datetime) -> TreeRow:
    current = later = None
    earlier = []
    for one in assignments:
        if one.ends_at is not None and one.ends_at <= now:
            earlier.append(one)
        elif one.starts_at is None or one.starts_at <= now:
            current = one
        elif later is None or later.starts_at is None or one.starts_at < later.starts_at:
            later = one
    earlier.sort(key=lambda one: (one.ends_at is not None, one.ends_at), reverse=True)
    return TreeRow(depth, workspace=workspace, assignment=current, later=later, earlier=tuple(earlier))

"""Whose usage is asked for, of what, how it is divided; and who may ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from accounts.models import ApiKey, BillingEntity, Customer, Workspace
from accounts.scoping import Viewer, visible
from core.api.references import find_referenced
from core.errors import InvalidRequest, NotFound
from metering.models import Meter
from metering.usage.windows import Window

UTC_ZONE: Final = ZoneInfo("UTC")
OWN_DIMENSIONS: Final = ("billing_entity", "workspace", "event")
DIMENSIONS_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Scope:
    """One customer, and what of it: a payer, a workspace, a user, a key, a trace; None = all.

    `viewer` bounds it once more. `zone`: the clock of the payers concerned, UTC when they have several.
    """

    viewer: Viewer
    customer_id: int
    zone: ZoneInfo
    payer_id: int | None = None
    workspace_id: int | None = None
    user: str | None = None
    api_key_id: int | None = None
    trace: str | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether only events, not buckets, can tell."""
        return self.user is not None or self.api_key_id is not None or self.trace is not None


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """Usage in `scope` and `window`, of `meters` (None: all), divided by `group_by`.

    `group_by` holds dimensions of meters and `billing_entity`, `workspace`, `event`.
    """

    scope: Scope
    window: Window
    meters: tuple[Meter, ...] | None = None
    group_by: tuple[str, ...] = ()


def find_scope(
    viewer: Viewer,
    *,
    customer: str | None = None,
    billing_entity: str | None = None,
    workspace: str | None = None,
    user: str | None = None,
    api_key: str | None = None,
    trace: str | None = None,
) -> Scope:
    """The scope that references name; of a customer's own key, at most its workspace.

    Raises NotFound for what the viewer does not see, InvalidRequest when nothing is named or references
    belong to different customers.
    """
    customer_ids: set[int] = set()
    payer = space = key = None
    if customer is not None:
        customer_ids.add(find_referenced(visible(Customer, viewer), "cus", customer, "customer").pk)
    if billing_entity is not None:
        payer = find_referenced(visible(BillingEntity, viewer), "be", billing_entity, "billing_entity")
        customer_ids.add(payer.customer_id)
    if workspace is not None or viewer.workspace_id is not None:
        spaces = visible(Workspace, viewer)
        space = spaces.get() if workspace is None else find_referenced(spaces, "ws", workspace, "workspace")
        customer_ids.add(space.customer_id)
    if api_key is not None:
        key = find_referenced(visible(ApiKey, viewer), "key", api_key, "api_key")
        customer_ids.add(key.customer_id)
    if not customer_ids:
        raise InvalidRequest(
            "missing_parameter", "Name a billing_entity, a workspace or a customer.", "customer"
        )
    if len(customer_ids) > 1:
        raise NotFound("not_found", "These do not belong to one customer.")
    customer_id = customer_ids.pop()
    return Scope(
        viewer=viewer,
        customer_id=customer_id,
        zone=_zone(viewer, customer_id, payer, space),
        payer_id=None if payer is None else payer.pk,
        workspace_id=None if space is None else space.pk,
        user=user,
        api_key_id=None if key is None else key.pk,
        trace=trace,
    )


def find_meters(references: Sequence[str]) -> tuple[Meter, ...]:
    """The meters of these keys or ids, in their order; raises NotFound."""
    keyed = {meter.key: meter for meter in Meter.objects.filter(key__in=references)}
    found = []
    for reference in references:
        meter = keyed.get(reference) or find_referenced(Meter.objects.all(), "mtr", reference, "meter")
        if meter not in found:
            found.append(meter)
    return tuple(found)


def check_group_by(group_by: Sequence[str], known: Sequence[str] | None = None) -> tuple[str, ...]:
    """The dimensions to divide by, each once; InvalidRequest for more than 5 or one that is not `known`."""
    names = tuple(dict.fromkeys(group_by))
    if len(names) > DIMENSIONS_MAX:
        raise InvalidRequest("too_long", f"Divide by at most {DIMENSIONS_MAX} dimensions.", "group_by")
    for name in names:
        if known is not None and name not in known:
            there = ", ".join(known)
            raise InvalidRequest("invalid_value", f"Divide by one of {there}.", "group_by")
    return names


def _zone(viewer: Viewer, customer_id: int, payer: BillingEntity | None, space: Workspace | None) -> ZoneInfo:
    if payer is not None:
        return ZoneInfo(payer.time_zone)
    payers = visible(BillingEntity, viewer).filter(customer_id=customer_id)
    if space is not None:
        payers = payers.filter(payer_assignments__workspace_id=space.pk)
    names = list(payers.order_by().values_list("time_zone", flat=True).distinct()[:2])
    return ZoneInfo(names[0]) if len(names) == 1 else UTC_ZONE

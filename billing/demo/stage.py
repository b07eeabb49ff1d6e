"""Sets the stage: prices, exchange rates, customers, workspaces, payers, subscriptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from dateutil.relativedelta import relativedelta

from accounts.currencies import create_currency
from accounts.customers import create_customer
from accounts.keys import issue_api_key
from accounts.models import BillingEntity, Customer, Organization, Workspace
from accounts.organizations import create_organization
from accounts.payers import create_billing_entity
from accounts.workspaces import create_workspace
from billing.demo import cast
from billing.demo.cast import Actor
from billing.subscriptions import start_subscription
from metering.rates import create_exchange_rate
from pricing.catalog import load_catalog
from pricing.models import PlanVersion
from pricing.plans import apply_catalog, publish_drafts

PLANS: Final = Path(__file__).parent / "plans"
_EUR: Final = ("1.092", "1.087", "1.101", "1.113", "1.098", "1.084", "1.091")
_JPY: Final = ("0.00672", "0.00668", "0.00661", "0.00675", "0.00683", "0.00677", "0.00670")


@dataclass(slots=True)
class Tenant:
    """A customer on the stage: its payers, the first of which is the main one, and its workspaces."""

    actor: Actor
    customer: Customer
    payers: list[BillingEntity] = field(default_factory=list)
    workspaces: list[Workspace] = field(default_factory=list)

    @property
    def references(self) -> list[str]:
        """What its calls name their workspaces."""
        return [workspace.external_id or workspace.public_id for workspace in self.workspaces]


def set_prices(first: datetime) -> dict[str, PlanVersion]:
    """The operator's unit of credits, exchange rates of every month, and the published plans by key."""
    create_currency(
        code="NIMBUS", name="Nimbus credits", decimals=2, price=Decimal("0.10"), price_currency="USD"
    )
    for month, (euro, yen) in enumerate(zip(_EUR, _JPY, strict=True)):
        starts_at = first + relativedelta(months=month)
        create_exchange_rate(base="EUR", quote="USD", rate=Decimal(euro), starts_at=starts_at)
        create_exchange_rate(base="JPY", quote="USD", rate=Decimal(yen), starts_at=starts_at)
    apply_catalog(load_catalog(PLANS))
    return {version.plan.key: version for version in publish_drafts()}


def enter(actor: Actor, version: PlanVersion) -> Tenant:
    """Bring a customer onto the stage, subscribed from now on."""
    customer = create_customer(name=actor.name, external_id=actor.slug)
    tenant = Tenant(actor, customer)
    if actor.slug == cast.TREE:
        _plant_tree(tenant)
    else:
        payer = _payer(tenant, actor.name, f"{actor.slug}-billing")
        _workspace(tenant, "production", payer)
        if actor.volume >= 20:
            _workspace(tenant, "staging", payer)
    for payer in tenant.payers:
        start_subscription(payer, version, external_id=f"sub-{payer.external_id}")
    return tenant


def _plant_tree(tenant: Tenant) -> None:
    """Meridian: a group with divisions, of which two pay for themselves."""
    group = _organization(tenant, "Meridian Group", None)
    retail = _organization(tenant, "Meridian Retail", group)
    logistics = _organization(tenant, "Meridian Logistics", group)
    cold_chain = _organization(tenant, "Cold Chain", logistics)
    head = _payer(tenant, "Meridian Group, head office", "meridian-hq", group)
    shops = _payer(tenant, "Meridian Retail Inc.", "meridian-retail", retail)
    fleet = _payer(tenant, "Meridian Logistics LLC", "meridian-logistics", logistics)
    _workspace(tenant, "storefront", shops, retail)
    _workspace(tenant, "shop-assistant", shops, retail)
    _workspace(tenant, "routing", fleet, logistics)
    _workspace(tenant, "sensors", fleet, cold_chain)
    _workspace(tenant, "research", head, group)


def _organization(tenant: Tenant, name: str, parent: Organization | None) -> Organization:
    reference = f"meridian-{name.lower().replace(' ', '-')}"
    return create_organization(customer=tenant.customer, name=name, parent=parent, external_id=reference)


def _payer(
    tenant: Tenant, name: str, reference: str, organization: Organization | None = None
) -> BillingEntity:
    actor = tenant.actor
    hard_stop = actor.slug in (cast.BLOCKED, cast.OVERSPENT, cast.RUNNING_OUT)
    payer = create_billing_entity(
        customer=tenant.customer,
        name=name,
        currency=actor.currency,
        time_zone=actor.time_zone,
        organization=organization,
        external_id=reference,
        settlement=actor.settlement,
        overdraft=Decimal(0) if hard_stop else None,
    )
    tenant.payers.append(payer)
    return payer


def _workspace(
    tenant: Tenant, name: str, payer: BillingEntity, organization: Organization | None = None
) -> None:
    workspace = create_workspace(
        customer=tenant.customer,
        name=name.replace("-", " ").capitalize(),
        organization=organization,
        external_id=f"{tenant.actor.slug}-{name}",
        billing_entity=payer,
    )
    issue_api_key(workspace=workspace, name=f"{workspace.name} key", user=f"{tenant.actor.slug}-user-1")
    tenant.workspaces.append(workspace)

"""Who is in the demo: the customers of Nimbus AI, on which plan, and how much they use. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

FLAT, PAYG, EUROPE, JAPAN = "flat", "payg", "payg-eur", "team-jpy"
ENTERPRISE, PODCAST, CREDITS = "enterprise", "podcast", "credits"

CURRENCIES: Final = {EUROPE: "EUR", JAPAN: "JPY", CREDITS: "NIMBUS"}
"""Plan -> its currency; USD for the others."""

INVOICED: Final = {FLAT: "wallet_then_invoice", JAPAN: "invoice_only", ENTERPRISE: "invoice_only"}
"""Plan -> how it settles; the others are prepaid."""

TOP_UPS: Final = {"USD": Decimal(200), "EUR": Decimal(150), "NIMBUS": Decimal(1000)}
"""What is paid in at once, by currency."""

LOSS_MAKER: Final = "harbor"
"""Top by calls, on the flat plan, and sold below cost."""
RUNNING_OUT: Final = "lumen"
"""Its wallet lasts two more days at its present rate."""
TREE: Final = "meridian"
"""The enterprise with organizations, several payers and a workspace that moved."""
BLOCKED: Final = "pixelforge"
"""A hard stop: its wallet is empty, so calls are denied."""
OVERSPENT: Final = "cobalt"
"""A hard stop too, but its gateway reported usage after the fact: an overspend."""
MISSPELT: Final = "quill"
"""Its newest release calls an event by a name that nobody hears."""
STUDIO: Final = "echo"
"""Makes podcasts."""
NEIGHBOURS: Final = ("fathom", "orchard")
"""Whom the curl line and the buttons of /demo charge."""


@dataclass(frozen=True, slots=True)
class Actor:
    """One customer. `volume`: its share of the calls, per mille of all; `growth`: per cent over six months;
    `months`: how long it has been there."""

    slug: str
    name: str
    plan: str
    volume: int
    growth: int = 40
    months: int = 6
    time_zone: str = "UTC"

    @property
    def currency(self) -> str:
        """What it pays in."""
        return CURRENCIES.get(self.plan, "USD")

    @property
    def settlement(self) -> str:
        """How it pays."""
        return INVOICED.get(self.plan, "wallet_only")

    @property
    def is_prepaid(self) -> bool:
        """Whether it tops a wallet up."""
        return self.settlement == "wallet_only"


_NEW_YORK, _BERLIN, _TOKYO = "America/New_York", "Europe/Berlin", "Asia/Tokyo"

CAST: Final = (
    Actor(LOSS_MAKER, "Harbor Support", FLAT, 150, 120, time_zone=_NEW_YORK),
    Actor(TREE, "Meridian Group", ENTERPRISE, 130, 60, time_zone=_NEW_YORK),
    Actor("atlas", "Atlas Freight", ENTERPRISE, 60, 30),
    Actor("novacare", "NovaCare Health", ENTERPRISE, 45, 80, 4, _NEW_YORK),
    Actor(RUNNING_OUT, "Lumen Labs", PAYG, 40, 90),
    Actor("brightdesk", "BrightDesk", FLAT, 22, 20),
    Actor("tessera", "Tessera Design", FLAT, 14, 10, time_zone=_BERLIN),
    Actor("oakline", "Oakline Legal", FLAT, 12, 15, time_zone=_NEW_YORK),
    Actor("vantage", "Vantage Media", FLAT, 16, 35),
    Actor("juniper", "Juniper Analytics", FLAT, 11, 25, 5),
    Actor("marble", "Marble & Pine", FLAT, 6, 0),
    Actor("summit", "Summit Learning", FLAT, 13, 70, 4),
    Actor(MISSPELT, "Quill Editorial", PAYG, 28, 50),
    Actor("orchard", "Orchard Robotics", PAYG, 26, 60),
    Actor("fathom", "Fathom Search", PAYG, 34, 110),
    Actor("drift", "Drift Insurance", PAYG, 18, 20, time_zone=_NEW_YORK),
    Actor("beacon", "Beacon Travel", PAYG, 21, 45),
    Actor("copperleaf", "Copperleaf Energy", PAYG, 15, 30, 5),
    Actor("paperkite", "Paper Kite Games", PAYG, 24, 85),
    Actor("silo", "Silo Foods", PAYG, 9, 10),
    Actor("north", "North & Daughters", PAYG, 7, 5, 1),
    Actor("keystone", "Keystone Realty", PAYG, 12, 25),
    Actor("rivet", "Rivet Manufacturing", PAYG, 13, 40, 4),
    Actor("mosaic", "Mosaic Recruiting", PAYG, 17, 55),
    Actor(BLOCKED, "Pixelforge", PAYG, 8, 0, 5),
    Actor(OVERSPENT, "Cobalt Dynamics", PAYG, 12, 30),
    Actor(STUDIO, "Echo Studio", PODCAST, 26, 60),
    Actor("wavelength", "Wavelength Radio", PODCAST, 18, 40),
    Actor("fireside", "Fireside Stories", PODCAST, 12, 90, 4),
    Actor("courtside", "Courtside Daily", PODCAST, 9, 20, 2),
    Actor("alpenglow", "Alpenglow GmbH", EUROPE, 24, 40, time_zone=_BERLIN),
    Actor("bodega", "Bodega Norte", EUROPE, 13, 20, time_zone="Europe/Madrid"),
    Actor("fjord", "Fjordlink AS", EUROPE, 16, 50, time_zone="Europe/Oslo"),
    Actor("atelier", "Atelier Lumiere", EUROPE, 9, 15, 5, "Europe/Paris"),
    Actor("kaede", "Kaede Systems", JAPAN, 19, 30, time_zone=_TOKYO),
    Actor("minato", "Minato Retail", JAPAN, 12, 45, 4, _TOKYO),
    Actor("sprout", "Sprout Tutoring", CREDITS, 15, 70),
    Actor("tandem", "Tandem Fitness", CREDITS, 11, 25),
    Actor("hello", "Hello Neighbor", CREDITS, 8, 40, 3),
    Actor("zephyr", "Zephyr Weather", CREDITS, 13, 60, 5),
)

"""The button that publishes a version: nobody moves, and a customer is seen under the price to come."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from http import HTTPStatus
from typing import Any, Final

from billing.demo import cast
from billing.demo.gateway import Answer, Gateway, Unreachable
from billing.demo.outcomes import Outcome, Side
from core.numbers import CONTEXT, plain

DEARER: Final = Decimal("1.2")
COMPONENT: Final = "output"


def play_publish(gateway: Gateway) -> Outcome:
    """Apply and publish the next version of the plan, then read what it would mean to one customer."""
    plan = _read(gateway, f"/v1/plans/{cast.PAYG}")
    latest = _read(gateway, f"/v1/plan-versions/{plan['published_version']}")
    first = _first_version(gateway)
    content = first["content"] if _is_dearer(latest, first) else dearer(first["content"])
    applied = gateway.send("POST", "/v1/plan-versions", content)
    _expect(applied, HTTPStatus.CREATED)
    published = gateway.send("POST", f"/v1/plan-versions/{applied.body['id']}/publish")
    _expect(published, HTTPStatus.OK)
    version = published.body
    customer = cast.NEIGHBOURS[0]
    payer = f"{customer}-billing"
    seen = _read(gateway, f"/v1/billing-entities/{payer}/upcoming?plan_version={version['id']}")
    outcome = Outcome([(f"{answer.status} answered", 1) for answer in (applied, published)])
    outcome.milliseconds = max(applied.milliseconds, published.milliseconds)
    for subscription in seen["subscriptions"]:
        projection = subscription["current_period"]["projection"]
        if projection["upcoming"] is not None:
            amounts = (_rounded(projection["current"]), _rounded(projection["upcoming"]))
            outcome.sides.append(Side("Fathom's month, projected", *amounts, str(seen["currency"])))
    outcome.links += [
        ("As Fathom would see it", "customer_price_as", (customer, version["id"])),
        ("The price sheet", "plan_version", (version["id"],)),
        ("Who is on which version", "plan", (cast.PAYG,)),
    ]
    outcome.sense = (
        f"v{version['number']} is published. Everybody stays on the version they are on until a price "
        "change moves them; new subscriptions start on this one."
    )
    return outcome


def _rounded(amount: str) -> Decimal:
    """A projection has more decimals than it knows."""
    return Decimal(amount).quantize(Decimal("0.01"), ROUND_HALF_UP, CONTEXT)


def dearer(content: dict[str, Any]) -> dict[str, Any]:
    """The same plan with output tokens a fifth dearer, tier by tier."""
    return content | {"components": [_dearer_component(part) for part in content["components"]]}


def _dearer_component(part: dict[str, Any]) -> dict[str, Any]:
    if part["key"] != COMPONENT:
        return part
    return part | {"tiers": [tier | {"unit_price": _times(tier["unit_price"])} for tier in part["tiers"]]}


def _times(price: str) -> str:
    return plain(CONTEXT.multiply(Decimal(price), DEARER))


def _is_dearer(latest: dict[str, Any], first: dict[str, Any]) -> bool:
    """Whether the newest version is the dearer one already: then it is the first price's turn."""
    return bool(latest["content"]["components"] == dearer(first["content"])["components"])


def _first_version(gateway: Gateway) -> dict[str, Any]:
    """The version that the demo began with."""
    versions = _read(gateway, f"/v1/plan-versions?plan={cast.PAYG}&status=published&limit=500")["data"]
    found: dict[str, Any] = min(versions, key=lambda version: int(version["number"]))
    return found


def _read(gateway: Gateway, path: str) -> dict[str, Any]:
    answer = gateway.send("GET", path)
    _expect(answer, HTTPStatus.OK)
    return answer.body


def _expect(answer: Answer, status: HTTPStatus) -> None:
    if answer.status != status:
        says = answer.body.get("error", {}).get("message", "")
        raise Unreachable(f"The API answered {answer.status}. {says}".rstrip())

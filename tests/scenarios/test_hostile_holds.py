"""Holds and leases asked in bad faith: ids of others, amounts of no sense, the very instant of the end."""

from __future__ import annotations

from typing import Any

import pytest

from billing.models import Authorization
from tests.scenarios.limits import LimitStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db


def hold(story: LimitStory, tokens: int = 5, **fields: Any) -> str:
    body = story.event({"tokens": tokens}, "north") | fields
    return str(story.api.make("/v1/authorizations", **body)["id"])


def stranger(story: LimitStory) -> str:
    """The payer of another customer, whose workspace is `other`."""
    api, name = story.api, {"name": "Other"}
    customer = api.make("/v1/customers", **name)["id"]
    payer = str(
        api.make("/v1/billing-entities", customer=customer, currency="USD", overdraft="0", **name)["id"]
    )
    api.make("/v1/workspaces", customer=customer, external_id="other", billing_entity=payer, **name)
    story.subscribe(payer, story.version)
    story.top_up(payer, "10")
    return payer


def code(answer: Any) -> tuple[int, str]:
    """Status and code, of an error or a denial."""
    return answer.status_code, answer.json()["error"]["code"]


def test_a_capture_names_no_other_workspace_or_payer(story: LimitStory) -> None:
    other = stranger(story)
    path = f"/v1/authorizations/{hold(story)}/capture"
    for caller in ({"workspace": "other"}, {"billing_entity": other}, {"workspace": "south"}):
        assert code(story.api.post(path, caller)) == (422, "mismatch")
    assert story.balance(other)["settled"] == "10"


def test_the_id_of_a_lease_is_none_of_an_authorization_and_the_other_way_round(story: LimitStory) -> None:
    lease = story.api.make("/v1/leases", workspace="north", amount="5")["id"].partition("_")[2]
    one = hold(story).partition("_")[2]
    for path in (
        f"/v1/authorizations/auth_{lease}/capture",
        f"/v1/authorizations/auth_{lease}/void",
        f"/v1/authorizations/auth_{lease}/extend",
        f"/v1/authorizations/lease_{lease}/capture",
        f"/v1/leases/lease_{one}/return",
    ):
        assert code(story.api.post(path, {})) == (404, "not_found"), path
    report = {"events": [story.event({"tokens": 1}, "north")]}
    assert code(story.api.post(f"/v1/leases/lease_{one}/report", report)) == (404, "not_found")
    assert set(Authorization.objects.values_list("status", flat=True)) == {"authorized"}


def test_a_strangers_call_reported_to_a_lease_is_the_strangers(story: LimitStory) -> None:
    other = stranger(story)
    lease = story.api.make("/v1/leases", workspace="north", amount="5")["id"]
    answer = story.api.post(f"/v1/leases/{lease}/report", {"events": [story.event({"tokens": 1}, "other")]})
    assert (answer.json()["accepted"], answer.json()["used"], answer.json()["held"]) == (1, "0", "5")
    assert (story.balance(other)["settled"], story.settled(story.payers["north"])) == ("9", 100000)


@pytest.mark.parametrize("path", ["/v1/authorizations", "/v1/leases"])
@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0", (400, "invalid_amount")),
        ("-1", (400, "invalid_amount")),
        ("1e30", (400, "number_out_of_range")),
        ("0.0000000000000000001", (400, "number_out_of_range")),
        ("NaN", (400, "invalid_decimal")),
        ("Infinity", (400, "invalid_decimal")),
        (5.5, (400, "invalid_type")),
        (True, (400, "invalid_type")),
        ("99999999999999999999", (402, "insufficient_funds")),
        ("100000.000000000000000001", (402, "insufficient_funds")),
    ],
)
def test_an_amount_that_makes_no_sense_or_is_too_much_holds_nothing(
    story: LimitStory, path: str, amount: Any, expected: tuple[int, str]
) -> None:
    body = {"idempotency_key": "k", "workspace": "north", "amount": amount}
    assert code(story.api.post(path, body)) == expected
    assert not Authorization.objects.exists()


def test_the_last_unit_of_the_wallet_can_be_held_and_no_more(story: LimitStory) -> None:
    body = {"workspace": "north", "amount": "100000"}
    story.api.make("/v1/authorizations", idempotency_key="all", **body)
    more = {"idempotency_key": "more", "workspace": "north", "amount": "0.000000000000000001"}
    assert code(story.api.post("/v1/authorizations", more)) == (402, "insufficient_funds")
    assert story.balance(story.payers["north"])["available"] == "0"


@pytest.mark.parametrize(
    ("currency", "price", "amounts"),
    [("JPY", "0.3", ("0.5", "100.25", "899.25")), ("KWD", "0.0003", ("0.0005", "0.0001", "999.9994"))],
)
def test_currencies_of_no_and_of_three_decimals_are_held_exactly(
    story: LimitStory, currency: str, price: str, amounts: tuple[str, ...]
) -> None:
    version = story.plan(per_unit("tokens", price), currency=currency)
    payer = story.payer(version, currency=currency)
    story.top_up(payer, "1000")
    for number, amount in enumerate(amounts):
        body = {"idempotency_key": f"h{number}", "workspace": f"w-{payer}", "amount": amount}
        answer = story.api.post("/v1/authorizations", body)
        assert answer.status_code == 201, answer.content
    assert (story.balance(payer)["available"], story.balance(payer)["held"]) == ("0", "1000")
    assert story.refused(payer, tokens=1) == "insufficient_funds"


def test_at_the_very_instant_of_its_end_a_hold_is_over(story: LimitStory) -> None:
    one = hold(story, expires_in=60)
    story.at(3, 1, 0, 1)
    for verb in ("void", "extend"):
        assert code(story.api.post(f"/v1/authorizations/{one}/{verb}", {})) == (409, "authorization_expired")
    assert story.balance(story.payers["north"])["held"] == "0"
    assert story.api.post(f"/v1/authorizations/{one}/capture", {}).status_code == 201  # a charge as any other
    assert story.settled(story.payers["north"]) == 99995


def test_a_capture_that_was_refused_for_its_size_leaves_the_key_free(story: LimitStory) -> None:
    path = f"/v1/authorizations/{hold(story)}/capture"
    huge = {"properties": {"tokens": 10**19}, "over": "overdraft"}
    assert code(story.api.post(path, huge))[0] in (400, 402)
    assert code(story.api.post(path, {"properties": {"tokens": 10**25}})) == (400, "number_out_of_range")
    capped = story.api.post(path, {"properties": {"tokens": 10**18}, "over": "cap"})
    assert (capped.status_code, capped.json()["amount"]) == (201, "5")
    assert story.settled(story.payers["north"]) == 99995

"""`/v1/seals` and `/v1/erasures`."""

from __future__ import annotations

import pytest

from billing import tasks
from billing.models import Erasure
from billing.seals import sealing
from billing.seals.sealing import seal_due
from core.models import IdempotentRequest
from metering.models import UsageEvent
from tests.accounts.caller import caller_with
from tests.billing.seals.sealed import NOW, seals
from tests.billing.world import Tenant, make_tenant


def test_seals_are_listed_and_read_without_their_entries(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "SEAL_NUMBERS", 2)
    other = make_tenant(None, balance="3")
    seal_due(NOW)
    caller = caller_with("admin")
    page = caller.get("/v1/seals", billing_entity=tenant.payer.public_id).json["data"]
    assert [(row["from_seq"], row["to_seq"]) for row in page] == [(3, 4), (1, 2)]
    last, first = page
    assert last == {
        "id": seals(tenant)[1].public_id,
        "customer": tenant.customer.public_id,
        "billing_entity": tenant.payer.public_id,
        "from_seq": 3,
        "to_seq": 4,
        "rows": 6,
        "previous_head": first["head"],
        "head": bytes(seals(tenant)[1].head).hex(),
        "sealed_at": "2026-01-15T12:00:00Z",
    }
    assert first["previous_head"] == "00" * 32
    assert caller.get(f"/v1/seals/{last['id']}").json == last
    latest = caller.get("/v1/seals", latest="true").json["data"]
    assert {row["id"] for row in latest} == {last["id"], seals(other)[0].public_id}
    assert [row["id"] for row in caller.get("/v1/seals", latest="false").json["data"]] == [first["id"]]


def test_seals_and_erasures_are_for_admin_keys_alone(tenant: Tenant) -> None:
    caller = caller_with("read", "charges:write", "events:write")
    assert caller.get("/v1/seals").status == caller.get("/v1/erasures").status == 403
    assert caller.post("/v1/erasures", {}).status == 403


def test_an_erasure_is_asked_for_done_in_the_background_and_forgets_whose_it_was(tenant: Tenant) -> None:
    caller = caller_with("admin")
    body = {
        "customer": tenant.customer.public_id,
        "user": "olga",
        "properties": ["who", "tokens"],
        "reason": "she asked",
    }
    answer = caller.post("/v1/erasures", body, key="once")
    asked = answer.json
    assert (answer.status, asked["status"], asked["events"]) == (202, "waiting", 0)
    assert b"olga" not in answer.body
    assert caller.post("/v1/erasures", body, key="once").json == asked
    tasks.erase_people()
    done = caller.get(f"/v1/erasures/{asked['id']}").json
    assert (done["status"], done["events"], done["parts"], done["others"]) == ("done", 3, 6, 0)
    assert done["kept"] == {"completion.tokens": "the meter tokens reads it"}
    assert set(UsageEvent.objects.values_list("user", flat=True)) == {None}
    assert IdempotentRequest.objects.get(operation="erasures.create").payload == {}
    assert caller.post("/v1/erasures", body, key="once").json == asked
    assert Erasure.objects.count() == 1
    assert caller.get("/v1/erasures", status="done").json["data"] == [done]


@pytest.mark.parametrize(
    ("fields", "param"),
    [({}, "user"), ({"properties": ["x"]}, "user"), ({"user": "a", "reason": ""}, "reason")],
)
def test_a_wish_that_does_not_say_whose_is_refused(
    tenant: Tenant, fields: dict[str, object], param: str
) -> None:
    body = {"customer": tenant.customer.public_id, "reason": "r"} | fields
    answer = caller_with("admin").post("/v1/erasures", body)
    assert (answer.status, answer.error["param"]) == (400, param)

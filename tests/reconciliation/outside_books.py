"""What the outside says of the books: a gateway's count, a provider's list, and a message that waits."""

from __future__ import annotations

from billing.models import OutboxMessage
from core import clock
from tests.reconciliation.books import Books


def hear_the_outside(books: Books) -> None:
    """A gateway counted a call of a key, a provider lists two payments and a refund, and all of it agrees."""
    books.at(4, 5, 10)
    key = books.post("/v1/api-keys", {"workspace": f"w-{books.payer_id}", "name": "k"})["id"]
    ping = {"idempotency_key": "ping", "event": "ping", "api_key": key}
    assert books.api.post("/v1/events", {"events": [ping]}).json()["unmatched"] == 1
    named = {"billing_entity": books.payer_id, "amount": "50", "reference": "stripe:pi_1"}
    books.post("/v1/top-ups", named)
    books.post("/v1/top-ups", named | {"reference": "stripe:pi_2"})
    refund = {"billing_entity": books.payer_id, "amount": "-20", "reason": "Back (stripe:re_1)"}
    books.post("/v1/adjustments", refund)
    books.at(4, 6)
    counts = [{"api_key": key, "hour": "2026-04-05T10:00:00Z", "calls": 1}]
    books.post("/v1/gateway-counts", {"counts": counts, "source": "edge"})
    paid = {"amount": "50", "currency": "USD", "at": "2026-04-05T10:00:00Z"}
    books.post(
        "/v1/payment-statements",
        {
            "provider": "stripe",
            "covers_from": "2026-04-01T00:00:00Z",
            "covers_until": "2026-04-06T00:00:00Z",
            "payments": [
                paid | {"id": "pi_1"},
                paid | {"id": "pi_2"},
                paid | {"id": "re_1", "amount": "20", "kind": "refund"},
            ],
        },
    )
    OutboxMessage.objects.create(kind="test", key="test", payload={}, created_at=clock.now())

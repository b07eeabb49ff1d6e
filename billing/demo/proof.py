"""The buttons about proof: a balance is corrupted behind the system's back, found, explained, and repaired.

The corruption is the one thing here that no API can do: it is SQL, and only in a demo.
"""

from __future__ import annotations

import time
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

from django.conf import settings
from django.db.models import F

from accounts.models import BillingEntity
from billing.demo import cast
from billing.demo.gateway import Answer, Gateway, Unreachable
from billing.demo.outcomes import Outcome, Side
from billing.models import LedgerAccount
from billing.reconciliation.runs import run_unfinished
from core.errors import PermissionDenied
from core.numbers import ZERO

STOLEN: Final = Decimal("25")
VICTIM: Final = cast.STUDIO
WAIT: Final = 30
"""Seconds that a button waits for a run."""
REASON: Final = "Restored from the entries, after the demo's break-in"


def play_corrupt(gateway: Gateway) -> Outcome:
    """Raise a balance in the database, as somebody with its password would; then let it be found."""
    payer = _payer()
    before, known = _balance(payer), _standing(gateway)
    corrupt_balance(payer, STOLEN)
    after = _balance(payer)
    run, found = _run(gateway), _standing(gateway)
    outcome = Outcome([], [Side("Wallet of Echo Studio, in the database", before, after, payer.currency)])
    if run is None or found is None:
        outcome.links = [("Reconciliation", "reconciliation", ())]
        outcome.sense = "A run over everybody is going on; it finds this, or the next one does. Look there."
        return outcome
    outcome.answers = [("202 run asked for", 1)]
    drift = ZERO if known is None else _open(known)
    outcome.sides.append(Side("Drift that is known", drift, _open(found), payer.currency))
    outcome.links = [
        ("Both sides of it", "discrepancy", (str(found["id"]),)),
        ("The run that found it", "reconciliation_run", (str(run["id"]),)),
        ("Reconciliation", "reconciliation", ()),
    ]
    outcome.sense = (
        f"Found: {found['subject']} is {found['actual']} {found['unit']}, and its entries come to"
        f" {found['expected']}. {found['cause']}"
    )
    return outcome


def play_repair(gateway: Gateway) -> Outcome:
    """Look at the repair's preview, do it, and let a run say that it is gone."""
    payer, found = _payer(), _standing(gateway)
    if found is None:
        return Outcome(sense="Nothing disagrees at Echo Studio: break its balance first.")
    before = _balance(payer)
    address = f"/v1/discrepancies/{found['id']}/repair"
    body: dict[str, Any] = {"action": "rebuild_balance"}
    previewed = gateway.send("POST", address, body | {"preview": True})
    facts = _expect(previewed)["facts"]
    repaired = gateway.send("POST", address, body | {"facts": facts, "reason": REASON})
    done = _expect(repaired)
    run = _run(gateway)
    again = _expect(gateway.send("GET", f"/v1/discrepancies/{found['id']}"))
    outcome = Outcome(
        [("200 previewed", 1), ("200 repaired", 1), ("202 run asked for", 1)],
        [
            Side("Wallet of Echo Studio, in the database", before, _balance(payer), payer.currency),
            Side("Drift that is known", Decimal(found["amount"]), _open(again), payer.currency),
        ],
    )
    outcome.links = [
        ("What was found, and what was done", "discrepancy", (str(found["id"]),)),
        ("Echo Studio", "customer", (VICTIM,)),
    ]
    outcome.milliseconds = max(previewed.milliseconds, repaired.milliseconds)
    written = len(done["writes"])
    outcome.sense = (
        f"{written} row written, no entry changed: the balance is what its entries come to, and the"
        f" discrepancy is {again['status']}."
    )
    if run is None:
        outcome.sense += " A run over everybody is going on; the next one says that it is gone."
    return outcome


def corrupt_balance(payer: BillingEntity, amount: Decimal) -> None:
    """Raise a wallet's balance without an entry. Raises PermissionDenied outside of a demo."""
    if not settings.TOLLGATE_DEMO:
        raise PermissionDenied("demo_only", "Only a demo may be broken on purpose.")
    rows = LedgerAccount.objects.filter(
        customer_id=payer.customer_id, billing_entity_id=payer.pk, kind="wallet"
    )
    rows.update(balance=F("balance") + amount)


def _payer() -> BillingEntity:
    return BillingEntity.objects.get(external_id=f"{VICTIM}-billing")


def _balance(payer: BillingEntity) -> Decimal:
    own = {"customer_id": payer.customer_id, "billing_entity_id": payer.pk, "kind": "wallet"}
    balance: Decimal = LedgerAccount.objects.get(**own).balance
    return balance


def _run(gateway: Gateway) -> dict[str, Any] | None:
    """A full run over this customer, to its end; None when another one takes too long.

    A worker may take it on as well, and neither minds.
    """
    body = {"kind": "full", "customer": VICTIM}
    until = time.monotonic() + WAIT
    answer = gateway.send("POST", "/v1/reconciliation-runs", body)
    while answer.status == HTTPStatus.CONFLICT and time.monotonic() < until:  # the night's, perhaps
        time.sleep(1)
        answer = gateway.send("POST", "/v1/reconciliation-runs", body)
    if answer.status == HTTPStatus.CONFLICT:
        return None
    run = _expect(answer, HTTPStatus.ACCEPTED)
    while run["finished_at"] is None and time.monotonic() < until:
        run_unfinished()
        run = _expect(gateway.send("GET", f"/v1/reconciliation-runs/{run['id']}"))
        time.sleep(0.2)
    return run if run["finished_at"] is not None else None


def _standing(gateway: Gateway) -> dict[str, Any] | None:
    """The balance that does not agree, as the last run found it."""
    address = f"/v1/discrepancies?customer={VICTIM}&type=balance"
    rows = _expect(gateway.send("GET", address))["data"]
    return next((row for row in rows if row["status"] != "resolved"), None)


def _open(row: dict[str, Any]) -> Decimal:
    return ZERO if row["status"] == "resolved" else Decimal(row["amount"])


def _expect(answer: Answer, status: int = HTTPStatus.OK) -> dict[str, Any]:
    if answer.status != status:
        raise Unreachable(f"It answered {answer.status}: {answer.body.get('error', {}).get('message', '')}")
    return answer.body

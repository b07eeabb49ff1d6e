"""What is done to one payer, in two processes that each remember what they have read of its limits, or with
everything read each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final
from unittest import mock

from django.db import transaction

from accounts.models import BillingEntity
from accounts.organizations import create_organization
from accounts.payers import assign_payer
from accounts.workspaces import change_workspace
from billing import authorizations
from billing.charging import (
    Authorized,
    CaptureTerms,
    Charged,
    ChargeRequest,
    Mode,
    Over,
    charge_many,
    entitling,
)
from billing.charging.calm import doubt
from billing.limits import catalogue
from billing.limits.verbs import change_limit, create_limit, end_limit, owner_of
from billing.models import Authorization, SpendLimit
from billing.reversals import reverse_event
from billing.subscriptions.changing import change_subscription
from billing.wallets import top_up
from core import clock
from core.errors import TollgateError
from metering.events import parse_event
from metering.models import Meter, UsageEvent
from pricing.models import PlanVersion, Subscription
from tests.billing.world import START, Tenant, request
from tests.properties.test_straight import shown

NOW: Final = START + timedelta(days=20)


def _same(now: datetime) -> datetime:
    return now


class Processes:
    """What two web processes remember, each for itself."""

    def __init__(self) -> None:
        self.memories: list[tuple[dict[Any, Any], dict[Any, Any]]] = [({}, {}), ({}, {})]

    @contextmanager
    def one(self, number: int) -> Iterator[None]:
        books, ranges = self.memories[number]
        with mock.patch.object(catalogue, "_books", books), mock.patch.object(entitling, "_ranges", ranges):
            yield


class Story:
    """One payer's steps. `remembers`: in two processes; else everything is read each time. `ahead`: by how
    many minutes the second process's clock is. `versions`: those that the payer may be put on."""

    def __init__(
        self, tenant: Tenant, *, remembers: bool, ahead: int = 0, versions: Sequence[PlanVersion] = ()
    ) -> None:
        self.tenant = tenant
        self.versions = versions
        self.remembers = remembers
        self.ahead = timedelta(minutes=ahead)
        self.processes = Processes()
        self.sent = 0
        self.events: list[Any] = []
        self.holds: list[Authorized] = []
        self.now = NOW
        self.groups = [tenant.workspace.organization]
        self.payers = [tenant.payer]

    def tell(self, steps: list[dict[str, Any]]) -> list[Any]:
        """Do the steps; what was answered."""
        answers: list[Any] = []
        for step in steps:
            if "minutes" in step:
                self.now += timedelta(minutes=step["minutes"])
                continue
            with self._process(step.get("process", 0)):
                do = next(getattr(self, f"_{name}") for name in ACTS if name in step)
                answers.append(do(step))
        return answers

    @contextmanager
    def _process(self, number: int) -> Iterator[None]:
        clock.use(partial(_same, self.now + self.ahead if number else self.now))
        if self.remembers:
            with self.processes.one(number):
                yield
        else:
            doubt()
            yield

    def _calls(self, step: dict[str, Any]) -> list[Any]:
        outcomes = charge_many([self._request(call) for call in step["calls"]])
        return [self._said(outcome) for outcome in outcomes]

    def _said(self, outcome: Any) -> Any:
        if isinstance(outcome, Charged):
            self.events.append(outcome)
        if isinstance(outcome, Authorized):
            self.holds.append(outcome)
            return outcome.amount, outcome.available, outcome.held
        return shown(outcome, self.tenant)

    def _request(self, call: dict[str, Any]) -> ChargeRequest:
        self.sent += 1
        at = (clock.now() - timedelta(minutes=call["minutes_ago"])).isoformat()
        properties = {"tokens": call["tokens"]}
        return request(self.tenant, f"k{self.sent}", call["mode"], properties=properties, occurred_at=at)

    def _reverse(self, step: dict[str, Any]) -> str:
        if step["reverse"] >= len(self.events):
            return "nothing"
        charged = self.events.pop(step["reverse"])
        event = UsageEvent.objects.filter(id=charged.id)
        return _tried(lambda: reverse_event(event.get(), reason="test"))

    def _capture(self, step: dict[str, Any]) -> Any:
        hold = self._hold(step["capture"])
        if hold is None:
            return "nothing"
        raw = {"idempotency_key": hold.public_id, "event": "completion", "billing_entity": self._of(hold)}
        event = parse_event(raw | {"properties": {"tokens": step["tokens"]}}, clock.now())
        terms = CaptureTerms(
            hold.customer_id, hold.id, hold.workspace_id, hold.api_key_id, over=Over(step["over"])
        )
        (outcome,) = charge_many([ChargeRequest(event, Mode.ASK, authorization=terms)])
        return self._said(outcome)

    def _void(self, step: dict[str, Any]) -> str:
        hold = self._hold(step["void"])
        return "nothing" if hold is None else _tried(lambda: authorizations.void(hold))

    def _extend(self, step: dict[str, Any]) -> str:
        hold, longer = self._hold(step["extend"]), timedelta(minutes=step["by"])
        return "nothing" if hold is None else _tried(lambda: authorizations.extend(hold, longer))

    def _hold(self, number: int) -> Authorization | None:
        if not self.holds:
            return None
        return Authorization.objects.get(id=self.holds[number % len(self.holds)].id)

    def _of(self, hold: Authorization) -> str:
        return next(one.public_id for one in self.payers if one.pk == hold.billing_entity_id)

    def _change(self, step: dict[str, Any]) -> str:
        limit = self._limit(step["change"])
        return "nothing" if limit is None else _tried(lambda: change_limit(limit, **step["terms"]))

    def _end(self, step: dict[str, Any]) -> str:
        limit = self._limit(step["end"])
        return "nothing" if limit is None else _tried(lambda: end_limit(limit))

    def _limit(self, number: int) -> SpendLimit | None:
        rows = list(SpendLimit.objects.filter(customer=self.tenant.customer, ended_at=None).order_by("pk"))
        return rows[number % len(rows)] if rows else None

    def _set(self, step: dict[str, Any]) -> str:
        owners = {
            "workspace": {"workspace": self.tenant.workspace},
            "organization": {"organization": self.groups[0]},
            "payer": {"billing_entity": self.tenant.payer},
            "meter": {"billing_entity": self.tenant.payer, "meter": Meter.objects.get()},
        }
        owner = owner_of(**owners[step["set"]])  # type: ignore[arg-type]
        return _tried(lambda: create_limit(owner, step["amount"], **step["terms"]))

    def _move(self, step: dict[str, Any]) -> str:
        """To the other division, or back."""
        if len(self.groups) == 1:
            self.groups.append(create_organization(customer=self.tenant.customer, name="Other"))
            create_limit(owner_of(organization=self.groups[1]), step["move"])
        here = self.tenant.workspace.organization
        there = self.groups[0] if here == self.groups[1] else self.groups[1]
        self.tenant.workspace = change_workspace(self.tenant.workspace, organization=there)
        return "moved"

    def _payer(self, step: dict[str, Any]) -> str:
        """Let another pay from now on, or the first again."""
        customer = self.tenant.customer
        if len(self.payers) == 1:
            fields: dict[str, Any] = {"name": "Second", "currency": "USD", "overdraft": Decimal(0)}
            second = BillingEntity.objects.create(customer=customer, created_at=START, **fields)
            first = Subscription.objects.get(billing_entity=self.tenant.payer)
            again = {"version": first.version, "starts_at": START, "anchor_at": START, "created_at": START}
            Subscription.objects.create(customer=customer, billing_entity=second, **again)
            top_up(second, Decimal(200))
            self.payers.append(second)
        payer = self.payers[step["payer"]]
        return _tried(lambda: assign_payer(self.tenant.workspace, payer, from_=clock.now()))

    def _reprice(self, step: dict[str, Any]) -> str:
        """Put the payer on another version since some minutes ago; what it has used since is rated anew."""
        subscription = Subscription.objects.get(billing_entity=self.tenant.payer)
        version = self.versions[step["reprice"]]
        at = clock.now() - timedelta(minutes=step["since"])
        return _tried(lambda: change_subscription(subscription, version=version, at=at))


ACTS: Final = (
    "calls",
    "reverse",
    "capture",
    "void",
    "extend",
    "change",
    "end",
    "set",
    "move",
    "payer",
    "reprice",
)


def _tried(verb: Callable[[], Any]) -> str:
    try:
        with transaction.atomic():
            verb()
    except TollgateError as error:
        return error.code
    return "done"

"""Time passes, workers run, and what waits in quarantine is released."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

from django.core.management import call_command
from hypothesis import strategies as st
from hypothesis.stateful import rule

from core import clock
from tests.model.base import DAY, HOUR, PAYERS, PICK, TICK, WAITS, Json, Sender
from tests.model.days import day_of
from tests.model.parties import GRACE
from tests.model.rules_calls import CALLS


class TimeRules(Sender):
    """What the calendar does."""

    @rule(call=CALLS, ago=st.sampled_from([36 * DAY, -25 * HOUR]))
    def report_out_of_time(self, call: Json, ago: int) -> None:
        """Usage from so long ago, or so far ahead, that staff must look at it; asked for, it is an error."""
        body = self._event(call | {"ago": ago})
        self._charge(body)
        self._report([body])

    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        """What waits in quarantine is charged, if what was wrong is mended."""
        waiting = list(self.system.quarantine)
        if not waiting:
            return
        key = waiting[pick % len(waiting)]
        (row,) = self.world.api.get("/v1/quarantine", idempotency_key=key, status="waiting").json()["data"]
        answer = self.world.api.post(f"/v1/quarantine/{row['id']}/release", {})
        self.system.settle(self.now)
        body = self.system.quarantine.pop(key)
        took = self.system.report(body, self.now, is_any_age=True)
        self.system.finish(self.now)
        is_taken = took not in ("quarantined", "rejected")
        if took == "rejected":
            self.system.quarantine[key] = body
        self._agree(answer.status_code, 200 if is_taken else 409, [took, body, answer.json()])

    @rule(seconds=WAITS)
    def wait(self, seconds: int) -> None:
        """Time passes, and no worker runs."""
        self.now += timedelta(seconds=seconds)

    @rule(pick=PICK, before=st.booleans())
    def wait_for_what_is_due(self, pick: int, before: bool) -> None:
        """To an instant at which something ends or begins, or to just before it."""
        wallets = [payer.wallet for payer in self.system.payers.values()]
        due = {hold.expires_at for wallet in wallets for hold in wallet.holds if hold.is_open}
        due |= {at for w in wallets for g in w.grants for at in (g.effective_at, g.expires_at) if at}
        for payer in self.system.payers.values():
            tomorrow, month = day_of(self.now, payer.zone)[1], payer.period_at(self.now)[1]
            due |= {tomorrow, month, month + GRACE}
        coming = sorted(at for at in due if at - TICK > self.now)
        self.now = coming[pick % len(coming)] - (TICK if before else timedelta())

    @rule(payer=PAYERS)
    def close_period(self, payer: int) -> None:
        """To the end of a payer's period and of its grace, and the workers run."""
        self.now = self._payer(payer).period_at(self.now)[1] + GRACE
        self.run_due()

    @rule()
    def run_due(self) -> None:
        """The workers run."""
        call_command("run_due", now=self.now.isoformat(), stdout=StringIO())
        clock.use(self._now)
        self.system.run_due(self.now)

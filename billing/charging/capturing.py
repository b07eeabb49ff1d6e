"""Captures on the path: the hold is freed first, then the real usage is rated, decided and booked.

What was promised is kept: up to the amount held, an open hold is captured whatever became of the payer
since. Beyond it `Over` says what happens. After its time a capture is a charge like any other, which an
empty wallet refuses. docs/algorithms/authorizations.md has the worked table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from msgspec.structs import replace

from accounts.models import BillingEntity
from billing.book import PayerBook
from billing.charging import deciding
from billing.charging.deciding import RatedItem
from billing.charging.limiting import Limiting
from billing.charging.outcomes import Charged, Denied, Failed, Recorded
from billing.charging.planning import Planned
from billing.charging.reading import Known
from billing.charging.requests import Mode, Over
from billing.funding import Part, is_allowed
from billing.holds import EXPIRED, VOIDED, Hold, settled_error
from billing.ledger import LEAKAGE
from core.errors import Conflict, NotFound, TollgateError
from core.numbers import CONTEXT, ZERO, plain

subtract = CONTEXT.subtract


@dataclass(slots=True)
class Capture:
    """A hold on its way to be captured. `promised`: what it reserved, free now; 0 when its time is over."""

    item: Planned
    book: PayerBook
    hold: Hold
    promised: Decimal = ZERO
    absorbed: list[Part] = field(default_factory=list)

    @property
    def is_late(self) -> bool:
        """Whether the hold was over, and only its usage is left to charge."""
        return not self.hold.is_open

    def refuse(self, rated: RatedItem, parts: list[Part], limiting: Limiting) -> Denied | None:
        """The reason to refuse, if there is one; what is refused leaves the hold as it was."""
        if self.item.request.mode is Mode.REPORT:
            return None
        if self.is_late:
            return deciding.refuse(self.item, self.book, rated, parts, limiting)
        if rated.amount <= self.promised or self.hold.capped_at is not None:
            return None
        over = limiting.over(self.item, rated)
        if over is None and is_allowed(self.book.funds, parts):
            return None
        said = None if over is None else over.as_denied()
        self.book.free(self.hold, self.promised.copy_negate())  # it is not captured: hold it again
        limiting.release(self.hold.counted_in, -1)
        if said is not None:
            denial = deciding.denied(self.item, "spend_limit", self.book.funds, rated.amount)
            return replace(denial, **said)
        return deciding.denied(self.item, "insufficient_funds", self.book.funds, rated.amount)

    def finish(self, outcome: Charged | Recorded) -> None:
        """Note what captured the hold. Of expired grants that it kept, what is left goes now."""
        amount = None
        if isinstance(outcome, Charged):
            amount, outcome.authorization = outcome.amount, self.hold.public_id
        if self.hold.status == VOIDED:
            return  # its usage was reported all the same
        self.hold.captured_by(outcome.id, outcome.recorded_at, amount)
        self.book.changed_holds[self.hold.customer_id, self.hold.id] = self.hold
        self.book.settle_due((), outcome.recorded_at)


def begin(item: Planned, known: Known, rated: RatedItem) -> Capture | TollgateError | Denied:
    """Find the hold that an item captures, and free it. A refusal or an error leaves everything as it is."""
    terms, payer = item.request.authorization, item.attribution.payer
    assert terms is not None
    assert payer is not None
    book = known.books[payer.customer_id, payer.id]
    hold = known.holds.get((terms.customer_id, terms.id))
    if hold is None or hold.payer != book.payer or hold.is_lease:
        return NotFound("not_found", "There is no such authorization.")
    capture = Capture(item, book, hold)
    is_report = item.request.mode is Mode.REPORT
    if hold.status == EXPIRED or (hold.status == VOIDED and is_report):
        is_closed = payer.status == BillingEntity.Status.CLOSED
        return late_error(capture).error if is_closed and not is_report else capture
    if not hold.is_open:
        return settled_error(hold)
    if rated.amount > hold.held and not is_report and terms.over is Over.REJECT:
        return _beyond(item, capture, rated)
    capture.promised = hold.held
    book.free(hold, hold.held)
    known.limiting.release(hold.counted_in)
    if terms.over is Over.CAP and not is_report:
        capture.absorbed = cap(rated, capture.promised)
        hold.capped_at = capture.promised
    return capture


def _beyond(item: Planned, capture: Capture, rated: RatedItem) -> Denied:
    """The refusal of a capture that would cost more than is held."""
    denial = deciding.denied(item, "insufficient_funds", capture.book.funds, rated.amount)
    denial.level, denial.level_id = "authorization", capture.hold.public_id
    denial.limit, denial.used = capture.hold.held, ZERO
    return denial


def cap(rated: RatedItem, most: Decimal) -> list[Part]:
    """Let the operator bear what an item costs beyond `most` >= 0, the last lines first; what is absorbed.

    The lines keep their amounts, for they are the price of the usage, and note what of them is absorbed.
    """
    excess = most.copy_negate()
    for _, amount in rated.amounts:
        excess = CONTEXT.add(excess, amount)
    parts = []
    for at in reversed(range(len(rated.amounts))):
        component, amount = rated.amounts[at]
        cut = min(excess, amount)
        if cut <= 0:
            continue
        rated.amounts[at] = (component, subtract(amount, cut))
        rated.lines[at] = rated.lines[at] | {"absorbed": plain(cut)}
        parts.append(Part(component, LEAKAGE, cut, None, rated.segments[at]))
        excess = subtract(excess, cut)
    return parts


def late_error(capture: Capture) -> Failed:
    """The answer to a capture after expiry that is refused as a charge; its key is kept for a report."""
    capture.hold.refused_key = capture.item.request.event.idempotency_key
    capture.book.changed_holds[capture.hold.customer_id, capture.hold.id] = capture.hold
    says = "The authorization is over, and a charge was refused; report the usage by /v1/events."
    return Failed(Conflict("authorization_expired", says))

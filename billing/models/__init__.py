"""What is owed: charges, denials, the ledger, grants, and what dashboards read of them."""

from billing.models.authorizations import Authorization
from billing.models.charges import Charge, Denial, Overspend, ReRating
from billing.models.closing import ClosingLine, CreditRelease
from billing.models.coupons import CouponCredit
from billing.models.fees import BookedFee
from billing.models.grants import CreditGrant
from billing.models.ledger import LedgerAccount, LedgerEntry, LedgerTransaction, Transfer
from billing.models.make_whole import MakeWholeCredit
from billing.models.margins import MarginBucket
from billing.models.operations import Adjustment, TopUp
from billing.models.outbox import OutboxMessage
from billing.models.reversals import Reversal, ReversedCharge

__all__ = [
    "Adjustment",
    "Authorization",
    "BookedFee",
    "Charge",
    "ClosingLine",
    "CouponCredit",
    "CreditGrant",
    "CreditRelease",
    "Denial",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerTransaction",
    "MakeWholeCredit",
    "MarginBucket",
    "OutboxMessage",
    "Overspend",
    "ReRating",
    "Reversal",
    "ReversedCharge",
    "TopUp",
    "Transfer",
]

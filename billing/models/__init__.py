"""What is owed: charges, denials, the ledger, grants, and what dashboards read of them."""

from billing.models.access_logs import AccessLog, UnreadLine
from billing.models.authorizations import Authorization
from billing.models.charges import Charge, Denial, Overspend, ReRating
from billing.models.closing import ClosingLine, CreditRelease
from billing.models.costs import CostEntry, VendorBill, VendorBillShare
from billing.models.coupons import CouponCredit
from billing.models.fees import BookedFee
from billing.models.grants import CreditGrant
from billing.models.ledger import LedgerAccount, LedgerEntry, LedgerTransaction, Transfer
from billing.models.limits import Alert, LimitCounter, LimitHold, SpendLimit
from billing.models.make_whole import MakeWholeCredit
from billing.models.margin_floors import MarginAlert, MarginRule, PayerMarginFloor, PeriodMargin
from billing.models.margins import MarginBucket
from billing.models.operations import Adjustment, TopUp
from billing.models.outbox import OutboxMessage
from billing.models.reconciliation import (
    Discrepancy,
    DiscrepancyComment,
    LinkDrift,
    PayerCheckpoint,
    ProvenSum,
    ReconciliationCheck,
    ReconciliationRun,
)
from billing.models.reversals import Reversal, ReversedCharge

__all__ = [
    "AccessLog",
    "Adjustment",
    "Alert",
    "Authorization",
    "BookedFee",
    "Charge",
    "ClosingLine",
    "CostEntry",
    "CouponCredit",
    "CreditGrant",
    "CreditRelease",
    "Denial",
    "Discrepancy",
    "DiscrepancyComment",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerTransaction",
    "LimitCounter",
    "LimitHold",
    "LinkDrift",
    "MakeWholeCredit",
    "MarginAlert",
    "MarginBucket",
    "MarginRule",
    "OutboxMessage",
    "Overspend",
    "PayerCheckpoint",
    "PayerMarginFloor",
    "PeriodMargin",
    "ProvenSum",
    "ReRating",
    "ReconciliationCheck",
    "ReconciliationRun",
    "Reversal",
    "ReversedCharge",
    "SpendLimit",
    "TopUp",
    "Transfer",
    "UnreadLine",
    "VendorBill",
    "VendorBillShare",
]

"""Vendors' bills: what a vendor asked for a month, spread over the calls that it belongs to.

`allocation` divides, pure (docs/algorithms/vendor-bills.md); `calls` reads what was booked; `verbs` loads a
bill with its preview and lets it be applied; `applying` does it, one payer after the other.
"""

from billing.vendor_bills.applying import apply_bills
from billing.vendor_bills.verbs import begin_bill, discard_bill, load_bill

__all__ = ["apply_bills", "begin_bill", "discard_bill", "load_bill"]

"""Seals: what is booked, hashed into a chain per payer, so that nothing can be changed behind it unseen.

`canonical` fixes the bytes, `sealing` makes seals in the background, `verifying` compares rows with them,
`exporting` writes both for an auditor, who checks them with `check_export.py` alone.
"""

from billing.seals.sealing import Sealed, seal_due, seal_payers

__all__ = ["Sealed", "seal_due", "seal_payers"]

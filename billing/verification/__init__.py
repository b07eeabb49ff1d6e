"""The proof of what is booked: charges, positions, balances and periods, recomputed from what is stored."""

from billing.verification.verbs import Difference, Verified, Window, verify

__all__ = ["Difference", "Verified", "Window", "verify"]

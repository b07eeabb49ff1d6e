"""All corruptions, in the order of the table in docs.

A part of the product that adds a link adds its corruptions here: a module with rows, and its name below.
"""

from __future__ import annotations

from typing import Final

from tests.reconciliation import corrupted_money, corrupted_usage
from tests.reconciliation.corruption import Corruption

CORRUPTIONS: Final[tuple[Corruption, ...]] = (*corrupted_usage.CORRUPTIONS, *corrupted_money.CORRUPTIONS)

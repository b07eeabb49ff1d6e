"""Column types shared by all apps, so that a quantity or an amount has one precision everywhere."""

from __future__ import annotations

from typing import Any

from django.db import models


class AmountField(models.DecimalField):  # type: ignore[type-arg]
    """Money or credits, with the 18 decimals in which charges are exact.

    Wider than any amount a caller may give (20 integer digits), so that sums of them fit.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **(kwargs | {"max_digits": 60, "decimal_places": 18}))


class QuantityField(models.DecimalField):  # type: ignore[type-arg]
    """A metered quantity (at most 20 integer digits and 12 decimals), or a sum of many."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **(kwargs | {"max_digits": 48, "decimal_places": 12}))

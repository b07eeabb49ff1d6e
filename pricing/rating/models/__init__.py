"""The models of RATING.md section 2, one file each, by the name that plans give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pricing.rating.fields import Fields
from pricing.rating.models.base import NotPriced, Pricing, QuantityModel
from pricing.rating.models.cost_plus import CostPlus
from pricing.rating.models.graduated import Graduated
from pricing.rating.models.graduated_percentage import GraduatedPercentage
from pricing.rating.models.matrix import Matrix
from pricing.rating.models.package import Package
from pricing.rating.models.per_unit import PerUnit
from pricing.rating.models.percentage import Percentage
from pricing.rating.models.volume import Volume

QUANTITY_MODELS: Final[Mapping[str, Callable[[Fields], QuantityModel]]] = {
    "per_unit": PerUnit.read,
    "graduated": Graduated.read,
    "volume": Volume.read,
    "package": Package.read,
    "graduated_percentage": GraduatedPercentage.read,
}
EVENT_MODELS: Final[Mapping[str, Callable[[Fields], Pricing]]] = {
    "percentage": Percentage.read,
    "matrix": Matrix.read,
    "cost_plus": CostPlus.read,
}
MODEL_NAMES: Final = (
    "per_unit",
    "graduated",
    "volume",
    "package",
    "percentage",
    "graduated_percentage",
    "matrix",
    "cost_plus",
)

__all__ = ["EVENT_MODELS", "MODEL_NAMES", "QUANTITY_MODELS", "NotPriced", "Pricing", "QuantityModel"]

"""graduated_percentage: as graduated, on value: each part of the value at its own tier's rate."""

from __future__ import annotations

from dataclasses import dataclass

from pricing.rating.fields import Fields
from pricing.rating.models.graduated import Graduated
from pricing.rating.tiers import PriceName


@dataclass(frozen=True, slots=True)
class GraduatedPercentage(Graduated):
    """Each part of the value at its own tier's rate (0.02 is 2 %); a tier's flat fee once it is entered."""

    @classmethod
    def read(cls, fields: Fields, price_name: PriceName = "rate") -> GraduatedPercentage:
        """From a component's fields; raises InvalidRequest."""
        return cls(Graduated.read(fields, price_name).tiers)

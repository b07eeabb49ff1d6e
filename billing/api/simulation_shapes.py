"""The shapes of simulations and their rows."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.fields import AmountField, InstantField
from core.api.references import IdField
from core.api.serializers import ShownSerializer
from pricing.api.documents import PlanDocument
from pricing.models import Simulation, SimulationRow
from pricing.simulation.outcomes import Outcome, outcome_of


class SimulatedVersionSerializer(serializers.Serializer[Any]):
    """What is simulated; `label` is the version's id, or `content`."""

    label = serializers.CharField()  # type: ignore[assignment]
    plan = serializers.CharField()
    number = serializers.IntegerField(allow_null=True)
    content = PlanDocument()


class VersionTotalsSerializer(serializers.Serializer[Any]):
    """One version in total, against what customers were on. `skipped`: payers in another currency.

    `deciles`: the smallest difference of any payer, the nine deciles, the largest.
    """

    label = serializers.CharField()  # type: ignore[assignment]
    currency = serializers.CharField()
    skipped = serializers.IntegerField()
    payers = serializers.IntegerField()
    current = serializers.CharField()
    simulated = serializers.CharField()
    difference = serializers.CharField()
    cost = serializers.CharField(allow_null=True)
    cost_coverage = serializers.CharField(allow_null=True)
    current_margin = serializers.CharField(allow_null=True)
    current_margin_rate = serializers.CharField(allow_null=True)
    margin = serializers.CharField(allow_null=True)
    margin_rate = serializers.CharField(allow_null=True)
    winners = serializers.IntegerField()
    losers = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    growing = serializers.IntegerField()
    unpriced = serializers.IntegerField()
    deciles = serializers.ListField(child=serializers.CharField())


class SimulationSerializer(ShownSerializer):
    """A simulation, how far it is, and its totals once it is done."""

    status = serializers.ChoiceField(Simulation.Status.choices)
    versions = SimulatedVersionSerializer(many=True)
    locals()["from"] = InstantField(source="starts_at")
    to = InstantField(source="ends_at")
    grows_by = AmountField()
    payers_total = serializers.IntegerField(allow_null=True)
    payers_done = serializers.IntegerField()
    totals = VersionTotalsSerializer(many=True)
    problem = serializers.CharField()
    created_at = InstantField()
    started_at = InstantField(allow_null=True)
    finished_at = InstantField(allow_null=True)


class SimulationRowSerializer(serializers.Serializer[SimulationRow]):
    """A payer under one version; `difference` below 0: it would pay less. `lines` are by line key."""

    version = serializers.IntegerField()
    customer = IdField(prefix="cus", source="customer_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    currency = serializers.CharField()
    current = AmountField()
    simulated = AmountField()
    difference = AmountField()
    outcome = serializers.SerializerMethodField()
    cost = AmountField(allow_null=True)
    events = serializers.IntegerField()
    costed = serializers.IntegerField()
    unpriced = serializers.IntegerField()
    lines = serializers.DictField(child=serializers.DictField(child=serializers.CharField()))

    @extend_schema_field(serializers.ChoiceField([outcome.value for outcome in Outcome]))
    def get_outcome(self, row: SimulationRow) -> str:
        """Whether the payer wins or loses."""
        return outcome_of(row.difference).value

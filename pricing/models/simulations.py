from __future__ import annotations

import pghistory
from django.db import models

from core.fields import AmountField
from core.ids import PublicId


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(condition=pghistory.AnyChange("status")),
    pghistory.DeleteEvent(),
)
class Simulation(models.Model):
    """A simulation as a job, kept with its results.

    `versions` are what is simulated, each `{"label", "plan", "content"}`: the content as it stood when the
    simulation was asked for, so that a draft may go on changing. The window is `[starts_at, ends_at)`.
    `last_payer_id`: how far it has come, in the order of payers' ids. `totals`: one object for each version.
    """

    public_id = PublicId("sim")

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        CANCELED = "canceled"
        FAILED = "failed"

    versions = models.JSONField()
    cohort = models.JSONField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    grows_by = AmountField()
    status = models.CharField(max_length=8, choices=Status, default=Status.QUEUED)
    payers_total = models.PositiveIntegerField(null=True)
    payers_done = models.PositiveIntegerField(default=0)
    last_payer_id = models.BigIntegerField(default=0)
    totals = models.JSONField(default=list)
    problem = models.TextField(blank=True, default="")
    created_by = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")), name="simulation_ends_after_start"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=["queued", "running"]) | models.Q(finished_at__isnull=False),
                name="ended_simulation_has_instant",
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(status__in=["queued", "running"]),
                name="simulation_to_run",
            )
        ]


class SimulationRow(models.Model):
    """One payer under version number `version` of a simulation (from 0).

    `difference` = `simulated` - `current`: negative, the payer would pay less. `lines` are both bills by
    line key: `{"current": {...}, "simulated": {...}}`. `cost` null: nothing is known of any event's.
    `unpriced`: events for which the version has no price.
    """

    simulation = models.ForeignKey(Simulation, models.CASCADE, related_name="rows")
    version = models.PositiveSmallIntegerField()
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    currency = models.CharField(max_length=12)
    current = AmountField()
    simulated = AmountField()
    difference = AmountField()
    cost = AmountField(null=True)
    events = models.BigIntegerField()
    costed = models.BigIntegerField()
    unpriced = models.BigIntegerField()
    lines = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["simulation", "version", "billing_entity_id"], name="payer_once_per_simulated_version"
            ),
            models.CheckConstraint(
                condition=models.Q(difference=models.F("simulated") - models.F("current")),
                name="simulated_difference_adds_up",
            ),
        ]
        indexes = [
            models.Index(fields=["simulation", "version", "-difference", "id"], name="simulated_difference")
        ]

from __future__ import annotations

from django.db import models


class ConfigVersion(models.Model):
    """One row: a number that rises when something all customers share changes (meters, rates, keys).

    Each process keeps a cache of configuration and compares this number under the payer's lock.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    version = models.BigIntegerField(default=1)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_config_version")]


class TestClock(models.Model):
    """One row, only with TOLLGATE_TEST_CLOCK=1: the instant that every process takes for now."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    now = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_test_clock")]

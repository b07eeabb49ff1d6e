"""Two lines of migrations come together."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("pricing", "0005_abc_contracts_changes_and_closing"),
        ("pricing", "0005_bcd_closing_and_rollouts"),
    ]

    operations = []

"""Two lines of migrations come together."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("pricing", "0004_bc_changes_and_closing"), ("pricing", "0004_bd_changes_and_rollouts")]

    operations = []

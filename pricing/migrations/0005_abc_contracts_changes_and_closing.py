"""Two lines of migrations come together."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("pricing", "0003_a_contracts_and_coupons"), ("pricing", "0004_bc_changes_and_closing")]

    operations = []

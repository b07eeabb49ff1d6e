"""Two lines of migrations come together."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_b_booked_fees"), ("billing", "0003_c_reversals")]

    operations = []

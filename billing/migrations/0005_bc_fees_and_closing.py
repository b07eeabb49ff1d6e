"""Two lines of migrations come together."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_bc_fees_and_reversals"), ("billing", "0004_c_closing")]

    operations = []

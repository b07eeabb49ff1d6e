"""Two lines of migrations come together."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_bc_fees_and_closing"), ("billing", "0005_bd_outbox")]

    operations = []

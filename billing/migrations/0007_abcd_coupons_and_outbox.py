"""Two lines of migrations come together."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_b_coupon_credits"), ("billing", "0006_bcd_closing_and_outbox")]

    operations = []

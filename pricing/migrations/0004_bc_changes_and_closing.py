"""Two lines of migrations come together."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("pricing", "0003_b_subscription_changes"), ("pricing", "0003_c_closing")]

    operations = []

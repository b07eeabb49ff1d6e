"""Subscription changes and rollouts were made beside each other."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("pricing", "0003_b_subscription_changes"), ("pricing", "0003_d_rollouts")]
    operations = []

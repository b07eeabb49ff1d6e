"""Contracts and coupons were made beside price changes and simulations."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("pricing", "0005_be_simulations"), ("pricing", "0003_a_contracts_and_coupons")]
    operations = []

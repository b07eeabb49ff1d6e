"""Everything that was made beside each other."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("pricing", "0005_abc_contracts_changes_and_closing"),
        ("pricing", "0005_bcd_closing_and_rollouts"),
        ("pricing", "0006_ae_contracts"),
    ]
    operations = []

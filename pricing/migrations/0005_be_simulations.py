"""Price changes and simulations were made beside each other."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("pricing", "0004_bd_changes_and_rollouts"), ("pricing", "0003_e_simulations")]
    operations = []

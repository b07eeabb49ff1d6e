"""Fees, reversals and the outbox were made beside each other."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_bc_fees_and_reversals"), ("billing", "0003_d_outbox")]
    operations = []

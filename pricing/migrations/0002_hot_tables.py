"""Leave room on the pages of counters, which change with every charge."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("pricing", "0001_initial")]

    operations = [
        migrations.RunSQL("ALTER TABLE pricing_counter SET (fillfactor = 70)", migrations.RunSQL.noop)
    ]

"""Partition the events; leave room on pages of rows that change with every charge."""

from django.db import migrations

from core.partitions import partition_table_sql


class Migration(migrations.Migration):
    dependencies = [("metering", "0001_initial")]

    operations = [
        migrations.RunSQL(
            partition_table_sql(
                "metering_usageevent",
                "customer_id, id, recorded_at",
                [
                    "CREATE INDEX event_seq ON metering_usageevent (customer_id, billing_entity_id, seq)",
                    "CREATE INDEX event_trace ON metering_usageevent (customer_id, trace)"
                    " WHERE trace IS NOT NULL",
                    'CREATE INDEX event_user ON metering_usageevent (customer_id, "user")'
                    ' WHERE "user" IS NOT NULL',
                ],
            ),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON metering_idempotencykey"
            " FOR EACH ROW EXECUTE FUNCTION core_refuse_change()",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL("ALTER TABLE metering_usagebucket SET (fillfactor = 70)", migrations.RunSQL.noop),
    ]

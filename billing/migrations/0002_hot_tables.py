"""Partition charges and transfers, and show the ledger as transactions and entries."""

from django.db import migrations

from core.partitions import partition_table_sql


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.RunSQL(
            partition_table_sql(
                "billing_charge",
                "customer_id, id, recorded_at",
                ["CREATE INDEX charge_seq ON billing_charge (customer_id, billing_entity_id, seq)"],
            ),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            partition_table_sql(
                "billing_transfer",
                "customer_id, billing_entity_id, seq, position, recorded_at",
                [
                    (
                        "ALTER TABLE billing_transfer ADD CONSTRAINT transfer_positive CHECK (amount > 0),"
                        " ADD CONSTRAINT transfer_moves CHECK (source <> destination)"
                    ),
                    (
                        "CREATE INDEX transfer_grant ON billing_transfer (customer_id, grant_id)"
                        " WHERE grant_id IS NOT NULL"
                    ),
                ],
            ),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            "".join(
                f"ALTER TABLE billing_{table} SET (fillfactor = 60);"
                for table in ("ledgeraccount", "creditgrant", "marginbucket")
            ),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            """
            CREATE VIEW billing_ledgertransaction AS
                SELECT customer_id, billing_entity_id, seq, min(recorded_at) AS recorded_at,
                       min(reason) AS reason, min(reference) AS reference,
                       count(*)::int AS transfers, sum(amount) AS amount
                FROM billing_transfer GROUP BY customer_id, billing_entity_id, seq;
            CREATE VIEW billing_ledgerentry AS
                SELECT customer_id, billing_entity_id, seq, position, source AS kind, recorded_at,
                       -amount AS amount FROM billing_transfer
                UNION ALL
                SELECT customer_id, billing_entity_id, seq, position, destination, recorded_at, amount
                FROM billing_transfer;
            """,
            "DROP VIEW billing_ledgertransaction, billing_ledgerentry",
        ),
    ]

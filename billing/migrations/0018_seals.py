"""Seals: one chain per payer, without a gap and without a fork, by a key of the table to itself."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0017_rest_of_authorizing'),
    ]

    operations = [
        migrations.CreateModel(
            name='SealSalts',
            fields=[
                ('pk', models.CompositePrimaryKey('customer_id', 'billing_entity_id', 'to_seq', blank=True, editable=False, primary_key=True, serialize=False)),
                ('customer_id', models.BigIntegerField()),
                ('billing_entity_id', models.BigIntegerField()),
                ('to_seq', models.BigIntegerField()),
                ('salts', models.BinaryField()),
            ],
        ),
        migrations.CreateModel(
            name='Seal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('customer_id', models.BigIntegerField()),
                ('billing_entity_id', models.BigIntegerField()),
                ('from_seq', models.BigIntegerField()),
                ('to_seq', models.BigIntegerField()),
                ('rows', models.IntegerField()),
                ('previous_head', models.BinaryField()),
                ('head', models.BinaryField()),
                ('entries', models.BinaryField()),
                ('sealed_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('customer_id', 'billing_entity_id', 'from_seq'), name='sealed_once'), models.UniqueConstraint(fields=('customer_id', 'billing_entity_id', 'to_seq', 'head'), name='seal_head'), models.CheckConstraint(condition=models.Q(('from_seq__gte', 1), ('rows__gte', 0), ('to_seq__gte', models.F('from_seq'))), name='seal_range')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='seal',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='04ef83b162e4347b27e7b2268c9e7bac3ffa2024', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_6f380', table='billing_seal', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='sealsalts',
            trigger=pgtrigger.compiler.Trigger(name='salts_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='7e79d716030659bf61f78af79641d750f4866b26', operation='DELETE', pgid='pgtrigger_salts_kept_64d3b', table='billing_sealsalts', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='sealsalts',
            trigger=pgtrigger.compiler.Trigger(name='salts_stay_in_place', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (ROW(OLD.customer_id, OLD.billing_entity_id, OLD.to_seq, octet_length(OLD.salts)) IS DISTINCT FROM ROW(NEW.customer_id, NEW.billing_entity_id, NEW.to_seq, octet_length(NEW.salts)))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='34a32a97df8b398786c9e9dabf51297d580ddc6f', operation='UPDATE', pgid='pgtrigger_salts_stay_in_place_b9848', table='billing_sealsalts', when='BEFORE')),
        ),
        migrations.RunSQL(
            """
            ALTER TABLE billing_seal
                ADD COLUMN after_seq bigint GENERATED ALWAYS AS (NULLIF(from_seq - 1, 0)) STORED,
                ADD CONSTRAINT seal_follows FOREIGN KEY (customer_id, billing_entity_id, after_seq, previous_head)
                    REFERENCES billing_seal (customer_id, billing_entity_id, to_seq, head),
                ADD CONSTRAINT seal_begins CHECK (from_seq > 1 OR previous_head = decode(repeat('00', 32), 'hex')),
                ADD CONSTRAINT seal_sizes CHECK (
                    octet_length(head) = 32 AND octet_length(previous_head) = 32
                    AND octet_length(entries) = 43 * rows),
                ALTER COLUMN entries SET STORAGE EXTERNAL;
            ALTER TABLE billing_sealsalts ALTER COLUMN salts SET STORAGE EXTERNAL;
            """,
            migrations.RunSQL.noop,
        ),
    ]

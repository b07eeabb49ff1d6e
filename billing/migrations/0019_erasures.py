"""Erasing a person's data: the one way round the triggers of events, keys and authorizations, and its record."""

import django.contrib.postgres.fields
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


ERASE_ONLY = """
    CREATE FUNCTION billing_erase_only() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        rest metering_usageevent := OLD;
        erased jsonb;
        removed text[];
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            SELECT parts INTO erased FROM billing_erasedrecord
            WHERE customer_id = OLD.customer_id AND record_id = OLD.id;
            removed := ARRAY(SELECT name FROM jsonb_object_keys(OLD.properties) AS name
                             WHERE NOT NEW.properties ? name);
            rest."user" := NEW."user";
            rest.properties := NEW.properties;
            IF erased IS NOT NULL
                AND rest::text = NEW::text
                AND (OLD.properties - removed)::text = NEW.properties::text
                AND (NEW."user" IS NOT DISTINCT FROM OLD."user"
                     OR (NEW."user" IS NULL AND erased->'user' ? 'hash'))
                AND NOT EXISTS (SELECT FROM unnest(removed) AS name
                                WHERE NOT COALESCE(erased->('properties.' || name) ? 'hash', false))
            THEN RETURN NEW; END IF;
        END IF;
        RAISE EXCEPTION 'rows of % are append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END $$;
    CREATE FUNCTION billing_forget_hash_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            IF NEW.payload_hash = ''
                AND ROW(NEW.customer_id, NEW.key, NEW.event_id, NEW.recorded_at)
                    = ROW(OLD.customer_id, OLD.key, OLD.event_id, OLD.recorded_at)
                AND EXISTS (SELECT FROM billing_erasedrecord
                            WHERE customer_id = OLD.customer_id AND record_id = OLD.event_id)
            THEN RETURN NEW; END IF;
        END IF;
        RAISE EXCEPTION 'rows of % are append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END $$;
    DROP TRIGGER append_only ON metering_usageevent;
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON metering_usageevent
        FOR EACH ROW EXECUTE FUNCTION billing_erase_only();
    DROP TRIGGER append_only ON metering_idempotencykey;
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON metering_idempotencykey
        FOR EACH ROW EXECUTE FUNCTION billing_forget_hash_only();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0018_seals'),
        ('metering', '0003_passed_calls'),
    ]

    operations = [
        migrations.CreateModel(
            name='ErasedRecord',
            fields=[
                ('pk', models.CompositePrimaryKey('customer_id', 'record_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('customer_id', models.BigIntegerField()),
                ('record_id', models.UUIDField()),
                ('billing_entity_id', models.BigIntegerField()),
                ('seq', models.BigIntegerField(null=True)),
                ('parts', models.JSONField()),
                ('erased_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Erasure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('customer_id', models.BigIntegerField()),
                ('user', models.TextField(null=True)),
                ('values', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None)),
                ('properties', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None)),
                ('reason', models.TextField()),
                ('created_by', models.CharField(blank=True, default='', max_length=200)),
                ('created_at', models.DateTimeField()),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('done', 'Done')], default='waiting', max_length=8)),
                ('done_at', models.DateTimeField(null=True)),
                ('payer_done', models.BigIntegerField(default=0)),
                ('seq_done', models.BigIntegerField(default=0)),
                ('events', models.BigIntegerField(default=0)),
                ('parts', models.BigIntegerField(default=0)),
                ('others', models.BigIntegerField(default=0)),
                ('kept', models.JSONField(default=dict)),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='authorization',
            name='terms_stay',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='authorization',
            trigger=pgtrigger.compiler.Trigger(name='terms_stay', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.id IS NOT NULL AND ROW(OLD.billing_entity_id, OLD.workspace_id, OLD.api_key_id, OLD.kind, OLD.idempotency_key, OLD.event, OLD.amount, OLD.currency, OLD.occurred_at, OLD.authorized_at, OLD.expires_in, OLD.reserved, OLD.metered, OLD.available_after, OLD.settled_after, OLD.held_after) IS DISTINCT FROM ROW(NEW.billing_entity_id, NEW.workspace_id, NEW.api_key_id, NEW.kind, NEW.idempotency_key, NEW.event, NEW.amount, NEW.currency, NEW.occurred_at, NEW.authorized_at, NEW.expires_in, NEW.reserved, NEW.metered, NEW.available_after, NEW.settled_after, NEW.held_after))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='293e9575e784bb88a96951974c7e0891e6d0f606', operation='UPDATE', pgid='pgtrigger_terms_stay_90576', table='billing_authorization', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='authorization',
            trigger=pgtrigger.compiler.Trigger(name='payload_stays', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.payload::text IS DISTINCT FROM NEW.payload::text)', func="\n    IF EXISTS (\n        SELECT FROM billing_erasedrecord x\n        WHERE x.customer_id = OLD.customer_id AND x.record_id = OLD.id\n            AND ((OLD.payload - ARRAY(SELECT path FROM jsonb_object_keys(x.parts) AS path))\n                #- '{properties}')::text = (NEW.payload #- '{properties}')::text\n            AND (COALESCE(OLD.payload->'properties', '{}') - ARRAY(\n                SELECT substr(path, 12) FROM jsonb_object_keys(x.parts) AS path\n                WHERE path LIKE 'properties.%'))::text = COALESCE(NEW.payload->'properties', '{}')::text)\n    THEN RETURN NEW; END IF;\n    RAISE EXCEPTION 'rows of % are append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';", hash='fde0f27c9ed5af6697b10cc6284d9ffc7a6e61dc', operation='UPDATE', pgid='pgtrigger_payload_stays_210c6', table='billing_authorization', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='erasure',
            index=models.Index(condition=models.Q(('status', 'waiting')), fields=['id'], name='erasure_waiting'),
        ),
        migrations.AddIndex(
            model_name='erasure',
            index=models.Index(fields=['customer_id', '-id'], name='erasure_customer'),
        ),
        migrations.AddConstraint(
            model_name='erasure',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='erasure_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='erasure',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('done_at', None), ('status', 'waiting')), models.Q(('done_at__isnull', False), ('status', 'done'), ('user', None), ('values', [])), _connector='OR'), name='erasure_forgets_whose'),
        ),
        migrations.AddField(
            model_name='erasedrecord',
            name='erasure',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='records', to='billing.erasure'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='erasure',
            trigger=pgtrigger.compiler.Trigger(name='wish_stays', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.id IS NOT NULL AND ROW(OLD.customer_id, OLD.properties, OLD.reason, OLD.created_by, OLD.created_at) IS DISTINCT FROM ROW(NEW.customer_id, NEW.properties, NEW.reason, NEW.created_by, NEW.created_at))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='66369adeea387d6dc3a742c96f4e3c724f8b4e70', operation='UPDATE', pgid='pgtrigger_wish_stays_5e26c', table='billing_erasure', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='erasure',
            trigger=pgtrigger.compiler.Trigger(name='erased_stays', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.status = \'done\' AND ROW(OLD.status, OLD.done_at, OLD.events, OLD.parts, OLD.others, OLD.kept, OLD."user", OLD."values") IS DISTINCT FROM ROW(NEW.status, NEW.done_at, NEW.events, NEW.parts, NEW.others, NEW.kept, NEW."user", NEW."values"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='7c513e6507e71004123c6a7c46e44964b4adc7e9', operation='UPDATE', pgid='pgtrigger_erased_stays_cefc5', table='billing_erasure', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='erasure',
            trigger=pgtrigger.compiler.Trigger(name='erasure_kept', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.id IS NOT NULL)', func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='e77fe3b23be8d3767001c557b5da538fd4cc5437', operation='DELETE', pgid='pgtrigger_erasure_kept_bf74b', table='billing_erasure', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='erasedrecord',
            trigger=pgtrigger.compiler.Trigger(name='erased_record_stays', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.record_id IS NOT NULL AND ROW(OLD.customer_id, OLD.record_id, OLD.billing_entity_id, OLD.seq) IS DISTINCT FROM ROW(NEW.customer_id, NEW.record_id, NEW.billing_entity_id, NEW.seq))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='bf0d96eba724b0dcb7d75b29f958c73565f57913', operation='UPDATE', pgid='pgtrigger_erased_record_stays_a50db', table='billing_erasedrecord', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='erasedrecord',
            trigger=pgtrigger.compiler.Trigger(name='erased_record_kept', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.record_id IS NOT NULL)', func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='f3b496a3900c1b5639c2cf862edc8b0dc136e11f', operation='DELETE', pgid='pgtrigger_erased_record_kept_4766f', table='billing_erasedrecord', when='BEFORE')),
        ),
        migrations.RunSQL(ERASE_ONLY, migrations.RunSQL.noop),
    ]

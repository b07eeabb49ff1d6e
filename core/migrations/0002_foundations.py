"""What triggers of all apps use: the sequence of config versions and the refusal of changes."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "CREATE SEQUENCE core_config_version_seq START 2; INSERT INTO core_configversion VALUES (1, 1)",
            "DROP SEQUENCE core_config_version_seq; DELETE FROM core_configversion",
        ),
        migrations.RunSQL(
            """
            CREATE FUNCTION core_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'rows of % are append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
            END $$
            """,
            "DROP FUNCTION core_refuse_change",
        ),
    ]

"""What Django cannot declare: references stay inside one customer, and a workspace has one payer."""

from django.db import migrations

INSIDE = [
    ("accounts_organization", "parent_id", "accounts_organization"),
    ("accounts_workspace", "organization_id", "accounts_organization"),
    ("accounts_billingentity", "organization_id", "accounts_organization"),
    ("accounts_payerassignment", "workspace_id", "accounts_workspace"),
    ("accounts_payerassignment", "billing_entity_id", "accounts_billingentity"),
    ("accounts_apikey", "workspace_id", "accounts_workspace"),
]


def inside_customer(table: str, column: str, target: str) -> migrations.RunSQL:
    name = f"{column.removesuffix('_id')}_inside_customer"
    return migrations.RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (customer_id, {column})"
        f" REFERENCES {target} (customer_id, id) DEFERRABLE INITIALLY DEFERRED",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        *(inside_customer(*reference) for reference in INSIDE),
        # A range of one id stands for the id: plain equality in GiST would need an extension.
        migrations.RunSQL(
            "ALTER TABLE accounts_payerassignment ADD CONSTRAINT one_payer_at_a_time EXCLUDE USING gist"
            " (int8range(workspace_id, workspace_id, '[]') WITH =, tstzrange(starts_at, ends_at) WITH &&)"
            " DEFERRABLE INITIALLY IMMEDIATE",
            "ALTER TABLE accounts_payerassignment DROP CONSTRAINT one_payer_at_a_time",
        ),
        migrations.RunSQL(
            "CREATE FUNCTION accounts_customer_fixed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'the customer of a row is fixed for life'; END $$;"
            + "".join(
                f"CREATE TRIGGER customer_fixed BEFORE UPDATE OF customer_id ON accounts_{table} FOR EACH ROW"
                " WHEN (OLD.customer_id <> NEW.customer_id) EXECUTE FUNCTION accounts_customer_fixed();"
                for table in ("organization", "workspace", "billingentity", "payerassignment", "apikey")
            ),
            "DROP FUNCTION accounts_customer_fixed CASCADE",
        ),
    ]

"""No organization stands below itself, whoever moves what at the same moment.

The trigger runs after the one that raises the customer's config version (triggers run by name), which has
locked the customer: of two moves the second sees the first.
"""

from django.db import migrations

FUNCTION = """
    CREATE FUNCTION accounts_organization_in_tree() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            WITH RECURSIVE above (id, parent_id) AS (
                SELECT id, parent_id FROM accounts_organization WHERE id = NEW.parent_id
                UNION
                SELECT o.id, o.parent_id FROM accounts_organization o JOIN above ON o.id = above.parent_id
            )
            SELECT FROM above WHERE id = NEW.id
        ) THEN
            RAISE EXCEPTION 'an organization may not stand below itself'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'organization_in_tree';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER zz_organization_in_tree AFTER INSERT OR UPDATE OF parent_id ON accounts_organization
        FOR EACH ROW WHEN (NEW.parent_id IS NOT NULL) EXECUTE FUNCTION accounts_organization_in_tree();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_staff_groups")]

    operations = [migrations.RunSQL(FUNCTION, "DROP FUNCTION accounts_organization_in_tree CASCADE")]

"""Find refusals and overspend by time: lists and the home page ask for the latest, customers for their own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_outbox")]

    operations = [
        migrations.AddIndex(
            model_name="denial",
            index=models.Index(fields=["denied_at"], name="denial_time"),
        ),
        migrations.AddIndex(
            model_name="denial",
            index=models.Index(fields=["customer_id", "denied_at"], name="denial_customer"),
        ),
        migrations.AddIndex(
            model_name="overspend",
            index=models.Index(fields=["recorded_at"], name="overspend_time"),
        ),
    ]

"""Find what people moved by its payer: top-ups and adjustments."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0009_coupons_after_the_close"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="topup",
            index=models.Index(fields=["customer_id", "billing_entity_id", "-id"], name="top_up_payer"),
        ),
        migrations.AddIndex(
            model_name="adjustment",
            index=models.Index(fields=["customer_id", "billing_entity_id", "-id"], name="adjustment_payer"),
        ),
    ]

from django.db import migrations

from stompconsole.models import postgres


class Migration(migrations.Migration):

    dependencies = [
        ('stompconsole', '0007_searched_headers'),
    ]

    operations = [
        migrations.RunPython(postgres.compress_by_lz4, postgres.compress_by_default),
    ]

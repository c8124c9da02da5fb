from django.db import migrations

from stompconsole.models import postgres


class Migration(migrations.Migration):

    dependencies = [
        ('stompconsole', '0006_headers_without_traceback'),
    ]

    operations = [
        migrations.RunPython(postgres.narrow_header_index, postgres.widen_header_index),
    ]

from django.db import migrations

from stompconsole.models import postgres


class Migration(migrations.Migration):

    dependencies = [
        ('stompconsole', '0004_operators'),
    ]

    operations = [
        migrations.RunPython(postgres.create_search_indexes, postgres.drop_search_indexes),
        migrations.RunPython(postgres.guard_audit, postgres.unguard_audit),
    ]

from collections import defaultdict
from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def flights_of_items(apps: Any, _editor: Any) -> None:
    """What a worker had begun, and had not written down when it ended, stays in doubt."""
    items = apps.get_model('stompconsole', 'ReplayItem')
    begun = defaultdict(list)
    found = items.objects.filter(state='waiting', begun_at__isnull=False).order_by('pk')
    for pk, replay_id in found.values_list('pk', 'replay_id'):
        begun[replay_id].append(pk)
    flights = apps.get_model('stompconsole', 'ReplayFlight')
    flights.objects.bulk_create(flights(replay_id=replay_id, item_ids=pks) for replay_id, pks in begun.items())


def items_of_flights(apps: Any, _editor: Any) -> None:
    """Take that back."""
    items = apps.get_model('stompconsole', 'ReplayItem')
    for flight in apps.get_model('stompconsole', 'ReplayFlight').objects.all():
        items.objects.filter(pk__in=flight.item_ids, state='waiting').update(begun_at=flight.begun_at)


class Migration(migrations.Migration):

    dependencies = [
        ('stompconsole', '0008_compression'),
    ]

    operations = [
        migrations.CreateModel(
            name='ReplayFlight',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('item_ids', models.JSONField()),
                ('begun_at', models.DateTimeField(auto_now_add=True)),
                ('replay', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='flights', to='stompconsole.replay')),
            ],
        ),
        migrations.RunPython(flights_of_items, items_of_flights),
        migrations.RemoveField(
            model_name='replayitem',
            name='begun_at',
        ),
    ]

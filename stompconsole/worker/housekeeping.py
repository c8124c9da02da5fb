"""What has to be swept now and then: rows of old workers, old buckets, dead letters that are kept no longer.

Done by one of the living workers at a low pace; done twice it does no harm. Blocking calls.
"""

from __future__ import annotations

import logging

from django.db import connection
from django.utils import timezone

from stompconsole.conf import Settings
from stompconsole.deadletters import broker_letters, expecting, grouping, retention, samples, tallies
from stompconsole.deadletters.trying import trial_rows
from stompconsole.metrics import buckets
from stompconsole.models import postgres
from stompconsole.worker.registry import Registry

logger = logging.getLogger(__name__)

EVERY_S = 60.0


def sweep(registry: Registry, settings: Settings) -> None:
    """Delete what nobody looks at any more, if this worker is the one to do it."""
    if not registry.leads(settings.stale_after_s):
        return
    workers = registry.purge()
    spans = buckets.purge(timezone.now(), settings.throughput_keep_s)
    letters = retention.purge()
    while grouping.group_the_rest():
        pass
    tallies.fold()
    postgres.merge_what_is_pending(connection)
    if settings.sample_handled:
        samples.purge()
    else:
        samples.forget()
    trial_rows.purge()
    expecting.act()
    broker_letters.purge()
    if workers or letters.discarded or letters.processed or letters.limited:
        logger.info(
            "swept %d workers, %d buckets, %d discarded and %d processed dead letters, %d beyond what is kept",
            workers,
            spans,
            letters.discarded,
            letters.processed,
            letters.limited,
        )

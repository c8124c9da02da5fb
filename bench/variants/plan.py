"""Planning a replay of the dead letters of one large group: what the plan's page counts, what confirming it writes,
and freezing it to ids, which a worker does.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence

from bench import letters
from bench.django_setup import set_up


def main(arguments: Sequence[str]) -> None:
    """``rounds`` and ``letters``; prints ``{"seconds": {step: [a figure for each round]}}``."""
    _, rounds, count = arguments
    set_up()
    logging.disable(logging.CRITICAL)
    from stompconsole.models import FailureGroup

    letters.fill(int(count))
    found: dict[str, list[float]] = {}
    groups = FailureGroup.objects.order_by("pk")[: letters.LARGE].values_list("pk", flat=True)
    for group in groups[: int(rounds)]:
        for step, seconds in _planned(group).items():
            found.setdefault(step, []).append(seconds)
    print(json.dumps({"seconds": found}))


def _planned(group: int) -> dict[str, float]:
    from django.utils import timezone

    from stompconsole.deadletters import freezing, replay_rows
    from stompconsole.deadletters.selection import Filters, preview, replay_matching
    from stompconsole.models import Worker

    now = timezone.now()
    worker = Worker.objects.create(hostname="here", pid=1, version="1", started_at=now, heartbeat_at=now)
    filters = Filters(group=str(group))
    started = time.perf_counter()
    seen = preview(filters)
    counted = time.perf_counter()
    planned = replay_matching(filters, as_of=seen.as_of, expected_count=seen.count, actor=None)
    confirmed = time.perf_counter()
    if planned.replay is None:
        raise SystemExit(planned.refusal)
    replay_rows.take(worker.pk, 600.0, ())
    while freezing.go_on(planned.replay.pk, worker.pk):
        pass
    frozen = time.perf_counter()
    # The groups hold more or less of them: told as if it were a hundred thousand.
    whole = 100_000 / planned.chosen
    return {
        "count 100,000": (counted - started) * whole,
        "confirm 100,000": (confirmed - counted) * whole,
        "freeze 100,000, by the worker": (frozen - confirmed) * whole,
    }


if __name__ == "__main__":
    main(sys.argv[1:])

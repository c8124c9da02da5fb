"""Every page over a database full of dead letters, through Django's test client, logged in, middlewares and all.

For each kind of page the 95th percentile of the seconds of ``URLS`` different URLs, round by round.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

from bench import letters
from bench.django_setup import set_up

URLS = 30
LIST = "/console/dead-letters/"


def main(arguments: Sequence[str]) -> None:
    """``rounds`` and ``letters``; prints ``{"seconds": {page: [a figure for each round]}}``."""
    _, rounds, count = arguments
    set_up()
    logging.disable(logging.CRITICAL)
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    settings.ALLOWED_HOSTS = ["testserver"]
    letters.fill(int(count))
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("bench"))
    # A server that has just started answers its first request later than all others.
    _seconds(client, "/console/")
    found = {name: [_p95(client, urls) for _ in range(int(rounds))] for name, urls in _pages(int(count)).items()}
    print(json.dumps({"seconds": found}))


def _p95(client: object, urls: Sequence[str]) -> float:
    return statistics.quantiles([_seconds(client, url) for url in urls], n=20)[-1]


def _seconds(client: object, url: str) -> float:
    started = time.perf_counter()
    answer = client.get(url)  # type: ignore[attr-defined]
    seconds = time.perf_counter() - started
    if answer.status_code != 200:
        raise SystemExit(f"{url} answers {answer.status_code}")
    return seconds


def _pages(count: int) -> Mapping[str, Sequence[str]]:
    """URLs by kind of page."""
    from stompconsole.deadletters.counting import By
    from stompconsole.models import DeadLetter, FailureGroup, Replay

    groups = list(FailureGroup.objects.order_by("pk").values_list("pk", flat=True))
    some = [number * (count // URLS) for number in range(URLS)]
    ids = list(
        DeadLetter.objects.filter(message_id__in=[f"T_1@@session-{n}" for n in some]).values_list("pk", flat=True)
    )
    consumers = [f"consumer-{number}" for number in range(letters.CONSUMERS)]
    lists = {
        "dead letters": [{"worker": f"web-{number % 4}:4121"} if number % 2 else {} for number in range(URLS)],
        "of a state": [{"state": state} for state in ("all", "processed", "discarded")] * 10,
        "of a consumer": [{"consumer": name} for name in consumers],
        "of a group": [{"group": str(pk)} for pk in groups[:: len(groups) // URLS]],
        "of an error type": [{"error_type": f"orders.errors.Error{number}"} for number in range(URLS)],
        "of a time": [{"failed_after": f"{number + 1}h"} for number in range(URLS)],
        "by id": [{"text": f"id:{pk}"} for pk in ids],
        "by message-id": [{"text": f"id:T_1@@session-{number}"} for number in some],
        "by header": [{"text": f"header:order=o-{number}"} for number in some],
        "by JSON path": [{"text": f"json:order.id={number}"} for number in some],
    }
    return {
        "overview": ["/console/"] * URLS,
        **{f"groups by {by}": [f"/console/groups/?by={by}&page={page % 3}" for page in range(URLS)] for by in By},
        "a group": [f"/console/groups/{pk}/" for pk in (*groups[: letters.LARGE], *groups[:: len(groups) // URLS])],
        **{f"list {name}": [f"{LIST}?{urlencode(query)}" for query in queries] for name, queries in lists.items()},
        "list, pages deep in": list(_deep(ids)),
        "a dead letter": [f"{LIST}{pk}/" for pk in ids],
        "replays": ["/console/replays/"] * URLS,
        "a replay": [Replay.objects.get().get_absolute_url()] * URLS,
        "audit": ["/console/audit/", f"/console/audit/?text={uuid.uuid4()}"] * (URLS // 2),
    }


def _deep(ids: Sequence[uuid.UUID]) -> Iterator[str]:
    from stompconsole.models import DeadLetter

    for pk, failed_at in DeadLetter.objects.filter(pk__in=ids).values_list("pk", "failed_at"):
        yield f"{LIST}?{urlencode({'before': f'{failed_at.isoformat()}_{pk}'})}"


if __name__ == "__main__":
    main(sys.argv[1:])

"""RabbitMQ's management API (seen: 3.10.8). Its figures are up to 5 s old by its own default.

One request for each queue: the list of all would grow with what others have there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from stompconsole.brokers.depths.depth import EMPTY, Depth, Management, count, moment, queue_of, unknown

NO_FIGURES = "RabbitMQ has no figures of this queue yet: they come some seconds after it is made"
NO_QUEUE = "RabbitMQ names the queue behind an exchange by itself"


def read(http: httpx.Client, place: Management, destinations: Sequence[str]) -> Mapping[str, Depth]:
    """See ``OverHttp``."""
    return {destination: _of(http, place, destination) for destination in destinations}


def _of(http: httpx.Client, place: Management, destination: str) -> Depth:
    if destination.startswith("/exchange/"):
        return unknown(NO_QUEUE)
    queue = queue_of(destination).replace("%2F", "/")
    answer = http.get(f"/api/queues/{quote(place.vhost or '/', safe='')}/{quote(queue, safe='')}")
    if answer.status_code == httpx.codes.NOT_FOUND and _says_not_found(answer):
        return EMPTY
    return depth(answer.raise_for_status().json())


def _says_not_found(answer: httpx.Response) -> bool:
    """Whether the API says it, and not a web server that knows no such path."""
    return "json" in answer.headers.get("content-type", "")


def depth(found: Any) -> Depth:
    """What is said of one queue. A new one has no figures at first: that is not 0."""
    ready = count(found.get("messages_ready")) if isinstance(found, dict) else None
    if ready is None:
        return unknown(NO_FIGURES)
    return Depth(
        waiting=ready,
        in_flight=count(found.get("messages_unacknowledged")),
        consumers=count(found.get("consumers")),
        # Only where senders stamp their messages: RabbitMQ does not by itself.
        oldest_at=moment(found.get("head_message_timestamp")) if ready else None,
    )

"""Both ActiveMQs by Jolokia, which shows their management beans over HTTP: all queues in one request."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx

from stompconsole.brokers.depths.depth import EMPTY, Depth, Management, count, moment, queue_of

Attributes = Mapping[str, Any]

_CLASSIC = "org.apache.activemq:type=Broker,brokerName=*,destinationType=Queue,destinationName=*"
_ARTEMIS = (
    "org.apache.activemq.artemis:broker=*,component=addresses,address=*,subcomponent=queues,routing-type=*,queue=*"
)
_NO_BEANS = 404
"""Jolokia's own status, in the body: there is no queue at all."""


def read_classic(http: httpx.Client, place: Management, destinations: Sequence[str]) -> Mapping[str, Depth]:
    """ActiveMQ Classic (seen: 5.17.2, 6.3.1). See ``OverHttp``."""
    beans = _beans(http, place, "/api/jolokia", _CLASSIC, ["Name", "QueueSize", "InFlightCount", "ConsumerCount"])
    return _by_destination(beans, destinations, classic_depth)


def read_artemis(http: httpx.Client, place: Management, destinations: Sequence[str]) -> Mapping[str, Depth]:
    """ActiveMQ Artemis (seen: 2.44.0). See ``OverHttp``."""
    attributes = ["Name", "MessageCount", "DeliveringCount", "ConsumerCount", "FirstMessageAge"]
    beans = _beans(http, place, "/console/jolokia", _ARTEMIS, attributes)
    return _by_destination(beans, destinations, partial(artemis_depth, now_s=time.time()))


def classic_depth(bean: Attributes) -> Depth:
    """QueueSize holds what is handed out as well."""
    size, in_flight = count(bean.get("QueueSize")) or 0, count(bean.get("InFlightCount")) or 0
    return Depth(waiting=max(0, size - in_flight), in_flight=in_flight, consumers=count(bean.get("ConsumerCount")))


def artemis_depth(bean: Attributes, now_s: float) -> Depth:
    """MessageCount holds what is handed out as well; the age is in milliseconds."""
    size, in_flight = count(bean.get("MessageCount")) or 0, count(bean.get("DeliveringCount")) or 0
    waiting, age_ms = max(0, size - in_flight), bean.get("FirstMessageAge")
    return Depth(
        waiting=waiting,
        in_flight=in_flight,
        consumers=count(bean.get("ConsumerCount")),
        oldest_at=moment(now_s - age_ms / 1000) if waiting and isinstance(age_ms, int | float) else None,
    )


def _beans(http: httpx.Client, place: Management, path: str, mbean: str, attributes: list[str]) -> list[Attributes]:
    address = urlsplit(place.url)
    # Jolokia refuses a request that does not say where it comes from.
    headers = {"Origin": f"{address.scheme}://{address.hostname}", "Content-Type": "application/json"}
    asked = json.dumps({"type": "read", "mbean": mbean, "attribute": attributes})
    answer = http.post(f"{path}/", content=asked, headers=headers).raise_for_status().json()
    if answer.get("status") == _NO_BEANS:
        return []
    if answer.get("status") != httpx.codes.OK:
        raise httpx.RemoteProtocolError(f"Jolokia says {answer.get('status')}: {answer.get('error', '')}"[:300])
    return list(answer["value"].values())


def _by_destination(
    beans: Sequence[Attributes], destinations: Sequence[str], depth: Callable[[Attributes], Depth]
) -> dict[str, Depth]:
    by_name = {str(bean.get("Name", "")): bean for bean in beans}
    found = {}
    for destination in destinations:
        # By an acceptor without prefixes /queue/x is the whole name of a queue.
        bean = by_name.get(destination) or by_name.get(queue_of(destination.rpartition("::")[2]))
        found[destination] = depth(bean) if bean is not None else EMPTY
    return found

"""A compose file: entry point, command, environment and number of each service. Anchors and ``extends`` are followed.

Only ``extends`` within the file: what stands in another is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stompconsole.importing.reading.containers import environment_of, read_command
from stompconsole.importing.reading.documents import line_of, mapping
from stompconsole.importing.reading.found import Around, Reading, instances_of, joined, trouble

LONGEST_CHAIN = 20
"""Services that extend one another; a ring of them has no end."""


def read_compose(document: Mapping[str, Any], around: Around) -> Reading:
    """Every ``pubsub`` of its services, as often as ``scale`` or ``deploy.replicas`` says."""
    services = mapping(document.get("services"))
    return joined(_of_service(_whole(service, services), around) for service in services.values())


def _of_service(service: Mapping[str, Any], around: Around) -> Reading:
    parts = (service.get("entrypoint"), service.get("command"))
    within = replace(
        around.with_environment(environment_of(service.get("environment"))),
        remarks=("its env_file is not read: settings in it don't count here.",) if service.get("env_file") else (),
    )
    reading = read_command(parts, within)
    given = _replicas(service)
    if given is None or not (reading.found or reading.problems):
        return reading
    count = instances_of(str(given))
    if isinstance(count, str):
        line = next(filter(None, map(line_of, (given, *parts))), 0)
        return trouble(around.file, line, count)
    return Reading(found=tuple(each.times(count) for each in reading.found), problems=reading.problems)


def _replicas(service: Mapping[str, Any]) -> Any:
    scale = service.get("scale")
    return mapping(service.get("deploy")).get("replicas") if scale is None else scale


def _whole(service: Any, services: Mapping[str, Any]) -> dict[str, Any]:
    """A service with what it takes from those it extends; its own words win, its environment is added."""
    whole: dict[str, Any] = {}
    current = mapping(service)
    for _ in range(LONGEST_CHAIN):
        environment = {**environment_of(current.get("environment")), **environment_of(whole.get("environment"))}
        whole = {**current, **whole}
        if environment:
            whole["environment"] = environment
        current = mapping(services.get(_extended(current)))
        if not current:
            break
    return whole


def _extended(service: Mapping[str, Any]) -> str:
    extends = service.get("extends")
    if isinstance(extends, dict):
        return "" if extends.get("file") else str(extends.get("service") or "")
    return str(extends or "")

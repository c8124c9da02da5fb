"""Kubernetes manifests: command, args, env and replicas of whatever holds containers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from stompconsole.importing.reading.containers import environment_of, read_command
from stompconsole.importing.reading.documents import Text, line_of, listed, mapping
from stompconsole.importing.reading.found import Around, Environment, Reading, instances_of, joined, trouble

REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


def read_manifest(document: Mapping[str, Any], around: Around) -> Reading:
    """Every ``pubsub`` of its containers, as often as ``replicas`` says."""
    items = [mapping(item) for item in listed(document.get("items"))]
    return joined(_of_object(each, around) for each in (document, *items))


def _of_object(document: Mapping[str, Any], around: Around) -> Reading:
    spec = mapping(document.get("spec"))
    reading = joined(_of_container(container, around) for container in _containers(spec))
    replicas = spec.get("replicas")
    if replicas is None or not (reading.found or reading.problems):
        return reading
    count = instances_of(str(replicas))
    if isinstance(count, str):
        return trouble(around.file, line_of(replicas), count)
    return Reading(found=tuple(each.times(count) for each in reading.found), problems=reading.problems)


def _containers(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Of a pod, of what has a template of pods, of what has a template of jobs that have one."""
    of_pods = mapping(mapping(mapping(spec.get("jobTemplate")).get("spec")) or spec).get("template")
    pod = mapping(mapping(of_pods).get("spec")) or spec
    for container in [*listed(pod.get("initContainers")), *listed(pod.get("containers"))]:
        yield mapping(container)


def _of_container(container: Mapping[str, Any], around: Around) -> Reading:
    environment = _environment(container.get("env"))
    parts = [_with_values(container.get(key), environment) for key in ("command", "args")]
    return read_command(parts, around.with_environment(environment))


def _environment(env: Any) -> Environment:
    given = (mapping(each) for each in listed(env))
    return environment_of({str(each.get("name")): each.get("value") for each in given})


def _with_values(part: Any, environment: Environment) -> Any:
    """``$(NAME)`` is replaced by Kubernetes itself, from the container's own variables."""
    if isinstance(part, list):
        return [_with_values(each, environment) for each in part]
    if not isinstance(part, Text):
        return part
    text = Text(REFERENCE.sub(lambda found: environment.get(found[1]) or found[0], part))
    text.line = part.line
    return text

"""``import_pubsub FILE…``: consumers from the ``pubsub`` lines by which django-stomp was run.

Shows what it would create; creates it only when told to. Ends with 1 if a line was not understood or left out.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from stompconsole.conf import settings_now
from stompconsole.errors import ConfigurationError
from stompconsole.importing.creating import create
from stompconsole.importing.planning import Candidate, Fate, Wishes, plan
from stompconsole.importing.reading import Problem, Reading, read, read_path
from stompconsole.importing.reading.files import MOST_BYTES
from stompconsole.importing.reading.found import joined
from stompconsole.models import Broker, Consumer, default_broker

HEADINGS = ("name", "destination", "handler", "instances", "from")
STANDARD_INPUT = "-"
ITS_NAME = "standard input"


class Command(BaseCommand):
    """Shows, and with --create makes, the consumers that shell lines and process files describe."""

    help = (
        "Finds `pubsub DESTINATION HANDLER` in shell lines and scripts, Procfile, supervisor, compose, systemd and"
        " Kubernetes files, and shows the consumers it would create. Creates them with --create."
    )
    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", metavar="FILE", nargs="+", help="A file to read; - is standard input.")
        parser.add_argument(
            "--create", action="store_true", help="Create the consumers. Without it nothing is written."
        )
        parser.add_argument(
            "--broker", metavar="NAME", default=default_broker.NAME,
            help="The broker they are created on; by default the one that the STOMP_* settings describe.",
        )  # fmt: skip
        parser.add_argument("--paused", action="store_true", help="Create them paused, to be resumed one by one.")
        parser.add_argument(
            "--no-capture", action="store_true", help="Leave dead letters in the broker, to be captured later."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        reading = joined(_read(name) for name in dict.fromkeys(options["files"]))
        try:
            broker = _broker(options["broker"])
            wishes = Wishes(broker=broker, paused=options["paused"], capture=not options["no_capture"])
            candidates = plan(reading.found, wishes)
            created = create(candidates, broker) if options["create"] else None
        except (ConfigurationError, ValidationError, DatabaseError) as error:
            raise CommandError(f"nothing was created: {error}") from error
        self._tell(candidates, reading.problems, broker)
        self._conclude(candidates, reading, created)

    def _tell(self, candidates: Sequence[Candidate], problems: Sequence[Problem], broker: Broker) -> None:
        new = _of(candidates, Fate.NEW)
        if new:
            self.stdout.write(f"Consumers of the broker {broker.name}, {broker.host}:{broker.port}:\n")
            self.stdout.writelines(_table(new))
        self._section("There already:", [_known(each) for each in _of(candidates, Fate.THERE)])
        self._section("Left out:", [_left_out(each) for each in _of(candidates, Fate.LEFT_OUT)])
        self._section("Not understood:", [str(problem) for problem in problems])
        allow = dict.fromkeys(each.consumer.handler for each in candidates if each.lacking and each.lacking.allowable)
        if allow:
            patterns = [*settings_now().handlers, *allow]
            listed = ", ".join(f'"{pattern}"' for pattern in patterns)
            self._section("To allow these handlers as they are:", [f'STOMPCONSOLE = {{"HANDLERS": [{listed}]}}'])

    def _section(self, heading: str, lines: Sequence[str]) -> None:
        if lines:
            self.stdout.write(f"\n{heading}\n")
            self.stdout.writelines(f"  {line}\n" for line in lines)

    def _conclude(self, candidates: Sequence[Candidate], reading: Reading, created: list[Consumer] | None) -> None:
        new = len(_of(candidates, Fate.NEW))
        if created is not None:
            self.stdout.write(f"\nCreated {_counted(len(created), 'consumer')}.")
        elif new:
            self.stdout.write(f"\nNothing is written yet: --create creates {_counted(new, 'consumer')}.")
        amiss = [
            (len(_of(candidates, Fate.LEFT_OUT)), "left out"),
            (len(reading.problems), "not understood"),
        ]
        if any(count for count, _ in amiss):
            raise CommandError(", ".join(f"{count} {what}" for count, what in amiss if count) + ": see above")
        if not reading.found:
            raise CommandError("no pubsub DESTINATION HANDLER was found.")


def _read(name: str) -> Reading:
    return read(ITS_NAME, sys.stdin.buffer.read(MOST_BYTES + 1)) if name == STANDARD_INPUT else read_path(name)


def _broker(name: str) -> Broker:
    """The row of that name, or the one that the settings describe, saved or not."""
    row = Broker.objects.filter(name=name).first()
    stomp = settings_now().stomp
    if row is None and name == default_broker.NAME and stomp is not None:
        return default_broker.from_settings(stomp)
    if row is None:
        known = ", ".join(Broker.objects.values_list("name", flat=True)) or "none"
        hint = "Set STOMP_SERVER_HOST" if name == default_broker.NAME else "Add it in the admin"
        raise CommandError(f"there is no broker named {name!r}; there are: {known}. {hint}, or name one with --broker.")
    return row


def _of(candidates: Iterable[Candidate], fate: Fate) -> list[Candidate]:
    return [candidate for candidate in candidates if candidate.fate is fate]


def _table(candidates: Sequence[Candidate]) -> Iterable[str]:
    rows = [HEADINGS, *(_cells(candidate) for candidate in candidates)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    yield _line(HEADINGS, widths)
    for candidate, row in zip(candidates, rows[1:], strict=True):
        yield _line(row, widths)
        yield from (
            f"  {' ' * widths[0]}  {sentence}\n" for sentence in (_settings(candidate.consumer), *candidate.remarks)
        )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() + "\n"


def _cells(candidate: Candidate) -> tuple[str, ...]:
    row = candidate.consumer
    return row.name, row.destination, row.handler, str(row.instances), _places(candidate)


def _settings(consumer: Consumer) -> str:
    """What the STOMP_* settings make of it, beyond what the columns say."""
    said = [f"concurrency {consumer.concurrency}", f"prefetch {consumer.prefetch}"]
    flags = ("paused", "durable", "exclusive", "correlation_id_required")
    said += [
        flag.replace("_", " ").replace("correlation id", "correlation-id") for flag in flags if getattr(consumer, flag)
    ]
    said += [
        f"{field.replace('_', ' ')} {value}"
        for field in ("client_id", "subscription_id")
        if (value := getattr(consumer, field))
    ]
    return ", ".join([*said, *([] if consumer.capture else ["no capture"])])


def _places(candidate: Candidate) -> str:
    return ", ".join(str(place) for place in candidate.places)


def _known(candidate: Candidate) -> str:
    row = candidate.consumer
    return f"{row.name}: {row.destination} {row.handler}, from {_places(candidate)}"


def _left_out(candidate: Candidate) -> str:
    row = candidate.consumer
    return f"{_places(candidate)}: {row.destination} {row.handler}: {candidate.why}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

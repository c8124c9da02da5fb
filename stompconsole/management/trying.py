"""``deadletters try``: have the workers try today's handlers on a sample of what matches, and tell what came of it."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError

from stompconsole.deadletters.filters import Filters
from stompconsole.deadletters.trying import choosing, results
from stompconsole.deadletters.trying.choosing import By
from stompconsole.models import Trial

LOOK_EVERY_S = 0.5


def add_arguments(parser: ArgumentParser) -> None:
    """Those of ``try`` alone."""
    parser.add_argument("--limit", type=int, default=choosing.SIZES[0], help=f"How many, {choosing.MOST} at most.")
    parser.add_argument("--wait", action="store_true", help="Wait for the end, and show how far it is.")


def begin(filters: Filters, size: int, who: str) -> Trial:
    """A trial for the workers. Raises CommandError where there is none."""
    chosen = choosing.try_matching(filters, size, By(user=None, name=who))
    if chosen.trial is None:
        raise CommandError(chosen.refusal)
    return chosen.trial


def wait(trial: Trial, tell: Callable[[str], object]) -> None:
    """Until it has ended."""
    said = ""
    while (result := results.result_of(trial)).under_way:
        if result.sentence != said:
            said = result.sentence
            tell(f"{trial.state}: {said}")
        time.sleep(LOOK_EVERY_S)
        trial.refresh_from_db()


def words(trial: Trial) -> str:
    """A trial in a sentence or two."""
    result = results.result_of(trial)
    if result.under_way:
        return f"Trial {trial.pk} of {trial.total:,} messages; a worker carries it out."
    return f"{result.sentence} {trial.note}".rstrip()


def told(trial: Trial) -> dict[str, Any]:
    """A trial as JSON."""
    names = ("dead_letter_id", "state", "seconds", "error_type", "error_message", "same_as_before", "notes", "output")
    return {
        "trial": trial.pk,
        "state": trial.state,
        "result": results.result_of(trial).sentence,
        "note": trial.note,
        "items": list(trial.items.order_by("pk").values(*names)),
    }

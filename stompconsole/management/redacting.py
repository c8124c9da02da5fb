"""``deadletters redact``: the rules now in force, applied to what is stored, with how far it is."""

from __future__ import annotations

import json
from collections.abc import Iterator

from django.core.management.base import CommandError, OutputWrapper

from stompconsole.deadletters import concealing
from stompconsole.deadletters.concealing import Progress
from stompconsole.deadletters.filters import Filters


class Redacting:
    """One call of the command: which dead letters, and where to tell of it. ``as_json`` tells one JSON value."""

    def __init__(self, filters: Filters, out: OutputWrapper, err: OutputWrapper, *, as_json: bool) -> None:
        self._filters = filters
        self._out = out
        self._err = err
        self._as_json = as_json

    def preview(self) -> None:
        """Say how many would be redacted."""
        done = self._watched(concealing.would_redact(self._filters.queryset()))
        self._tell(done, f"{done.redacted:,} dead letters would be redacted. Nothing was changed.", changed=False)

    def carry_out(self, by: str) -> None:
        """Redact them. Raises CommandError when some could not be."""
        rows, what = self._filters.queryset(), self._filters.describe()
        done = self._watched(concealing.redact(rows, what=what, actor_name=by))
        for pk, why in done.left.items():
            self._err.write(f"{pk}: {why}")
        self._tell(done, f"Redacted {done.redacted:,} of {done.seen:,} dead letters.", changed=True)
        if done.left:
            raise CommandError(f"{len(done.left)} dead letters could not be redacted")

    def _watched(self, steps: Iterator[Progress]) -> Progress:
        done = Progress(left={})
        for done in steps:
            self._err.write(f"{done.seen:,} looked at, {done.redacted:,} with parts to redact …")
        return done

    def _tell(self, done: Progress, words: str, *, changed: bool) -> None:
        counts = {"seen": done.seen, "redacted": done.redacted, "changed": changed}
        self._out.write(json.dumps(counts) if self._as_json else words)

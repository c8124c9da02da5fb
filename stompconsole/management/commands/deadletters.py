"""``deadletters list|show|groups|try|replay|discard|send-now|cancel|redact|export|import|index``: what the pages do,
from a shell.

The same filters, the same audit, the name of the system's user as the actor. What changes dead letters counts first,
and changes nothing with ``--dry-run``; a replay is carried out by the workers.
"""

from __future__ import annotations

import getpass
import json
import sys
import time
import uuid
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections
from django.utils import timezone

from stompconsole.deadletters import counting, exchange, plans, selection
from stompconsole.deadletters.counting import By
from stompconsole.deadletters.filters import NONE, Preview, preview
from stompconsole.deadletters.outcomes import progress
from stompconsole.deadletters.outlooks import Outlook, outlook
from stompconsole.management import retrying, trying
from stompconsole.management.choosing import EDITS, PLAN, add_filters, edits_of, filters_of
from stompconsole.management.redacting import Redacting
from stompconsole.models import DeadLetter, DeadLetterState, Replay, ReplayState, postgres

SHOWN = 50
LOOK_EVERY_S = 1.0
TELL_EVERY = 1_000


class Command(BaseCommand):
    """Dead letters from a shell."""

    help = "Lists, shows, replays, discards, redacts, exports and imports dead letters, as the console's pages do."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(
            dest="act",
            required=True,
            metavar="list|show|groups|try|replay|discard|send-now|cancel|redact|export|import|index",
        )
        listing = acts.add_parser("list", help="Dead letters that match, newest first.")
        listing.add_argument("--limit", type=int, default=SHOWN)
        show = acts.add_parser("show", help="One dead letter, whole.")
        show.add_argument("id")
        groups = acts.add_parser("groups", help="What is dead, in heaps, largest first.")
        groups.add_argument("--by", choices=[by.value for by in By], default=By.ERROR.value)
        groups.add_argument("--limit", type=int, default=SHOWN)
        tried = acts.add_parser("try", help="Try today's handlers on a sample of what matches: nothing is kept of it.")
        trying.add_arguments(tried)
        replay = acts.add_parser("replay", help="Have what matches sent again by the workers.")
        for name, words in PLAN.items():
            replay.add_argument(f"--{name.replace('_', '-')}", default="", help=words)
        for name, (_, form, words) in EDITS.items():
            replay.add_argument(f"--{name}", action="append", default=[], metavar=form, help=words)
        replay.add_argument("--wait", action="store_true", help="Wait for its end, and show how far it is.")
        discard = acts.add_parser("discard", help="Discard what matches; the pages can bring it back for a while.")
        sending = acts.add_parser("send-now", help="Have retries that match and wait for their time sent now.")
        cancelling = acts.add_parser("cancel", help="Have retries that match not be tried again; the pages undo it.")
        redacting = acts.add_parser("redact", help="Apply the rules of redaction now in force to what is stored.")
        redacting.add_argument("--dry-run", action="store_true", help="Say how many it would touch, change nothing.")
        export = acts.add_parser("export", help="Write what matches as NDJSON.")
        export.add_argument("file", nargs="?", default="-", help="Standard output when it is - or left out.")
        importing = acts.add_parser("import", help="Read NDJSON as export writes it; what is there is left alone.")
        importing.add_argument("file", help="Standard input when it is -.")
        acts.add_parser("index", help="Create the index for text search where PostgreSQL can have one.")
        for chosen in (listing, groups, tried, replay, discard, sending, cancelling, redacting, export):
            add_filters(chosen)
        for explained in (replay, discard):
            explained.add_argument("--reason", default="")
        for changing in (replay, discard, sending, cancelling):
            changing.add_argument("--dry-run", action="store_true", help="Say what it would touch, change nothing.")
        for telling in (listing, show, groups, tried, replay, discard, sending, cancelling, redacting, importing):
            telling.add_argument("--json", action="store_true", help="One JSON value on standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        acts: dict[str, Callable[[dict[str, Any]], None]] = {
            "list": self._list,
            "show": self._show,
            "groups": self._groups,
            "try": self._try,
            "replay": self._replay,
            "discard": self._discard,
            "send-now": self._send_now,
            "cancel": self._cancel,
            "redact": self._redact,
            "export": self._export,
            "import": self._import,
            "index": self._index,
        }
        acts[options["act"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        filters = filters_of(options)
        rows = filters.queryset().defer("body", "headers", "traceback", "search_text", "document", "sealed")
        found = [_line(row) for row in rows[: max(0, options["limit"])]]
        counts = counting.by_state(filters)
        total = counts.of(filters.state)
        if options["json"]:
            self._tell({"total": total, "complete": counts.complete, "dead_letters": found})
            return
        for line in found:
            error = f"{line['error_type']}: {line['error_message']}".strip(": ")[:100]
            self.stdout.write(f"{line['id']}  {line['failed_at']:%Y-%m-%d %H:%M:%S}  {line['consumer']}  {error}")
        self.stdout.write(f"{len(found)} of {total:,}{'' if counts.complete else '+'}")

    def _show(self, options: dict[str, Any]) -> None:
        row = DeadLetter.objects.filter(pk=_uuid(options["id"])).first()
        if row is None:
            raise CommandError(f"there is no dead letter {options['id']}: it may have been deleted")
        found = exchange.as_dict(row)
        if options["json"]:
            self._tell(found)
            return
        for name in ("id", "consumer", "state", "origin", "attempts", "replays", "failed_at", "error_type"):
            self.stdout.write(f"{name.replace('_', ' ')}: {found[name]}")
        self.stdout.write(f"error: {found['error_message']}\n{found['traceback']}")
        for name, value in found["headers"].items():
            self.stdout.write(f"  {name}: {value}")
        self.stdout.write(found.get("body", f"{row.body_size:,} bytes that are no text: see --json or export"))

    def _groups(self, options: dict[str, Any]) -> None:
        heaps = counting.heaps(filters_of(options), By(options["by"]), size=max(1, options["limit"])).rows
        if options["json"]:
            listed = [{"label": heap.label, "dead": heap.dead, "total": heap.total, **_group(heap)} for heap in heaps]
            self._tell(listed)
            return
        for heap in heaps:
            self.stdout.write(f"{heap.dead:>9,}  {heap.label or NONE}")

    def _try(self, options: dict[str, Any]) -> None:
        trial = trying.begin(filters_of(options), options["limit"], _user())
        if options["wait"]:
            trying.wait(trial, self.stderr.write)
        if options["json"]:
            self._tell(trying.told(trial))
        else:
            self.stdout.write(trying.words(trial))

    def _replay(self, options: dict[str, Any]) -> None:
        typed = {name: options[name] for name in PLAN}
        read = plans.read({**typed, "edits": json.dumps(edits_of(options))})
        if read.problems:
            raise CommandError("\n".join(f"--{name.replace('_', '-')}: {told}" for name, told in read.problems.items()))
        filters = filters_of(options)
        seen = preview(filters)
        if options["dry_run"] or not seen.count:
            self._preview(seen, "replayed", options)
            if read.plan.edits and not options["json"]:
                self._outlook(outlook(filters.frozen(seen.as_of), read.plan.edits))
            return
        planned = selection.replay_matching(
            filters,
            as_of=seen.as_of,
            expected_count=seen.count,
            actor=None,
            actor_name=_user(),
            reason=options["reason"],
            plan=read.plan,
        )
        if planned.replay is None:
            raise CommandError(planned.refusal)
        if options["wait"]:
            self._wait(planned.replay, options)
        if options["json"]:
            self._tell({"replay": planned.replay.pk, "chosen": planned.chosen, "skipped": planned.skipped})
        else:
            self.stdout.write(f"Replay {planned.replay.pk} of {planned.chosen:,} messages; the workers carry it out.")

    def _wait(self, replay: Replay, options: dict[str, Any]) -> None:
        while True:
            replay.refresh_from_db()
            now = progress(replay)
            if not options["json"]:
                self.stderr.write(
                    f"{replay.state}: {now.processed:,} processed, {now.sent:,} sent, {now.failed_again:,} failed"
                    f" again, {now.skipped:,} skipped, {now.waiting:,} to send. {replay.note}".rstrip()
                )
            if replay.state not in {ReplayState.WAITING, ReplayState.RUNNING}:
                return
            time.sleep(LOOK_EVERY_S)

    def _discard(self, options: dict[str, Any]) -> None:
        filters = filters_of(options)
        seen = preview(filters)
        if options["dry_run"] or not seen.count:
            self._preview(seen, "discarded", options)
            return
        done = selection.discard_matching(
            filters,
            as_of=seen.as_of,
            expected_count=seen.count,
            actor=None,
            actor_name=_user(),
            reason=options["reason"],
        )
        if done.refusal:
            raise CommandError(done.refusal)
        if options["json"]:
            self._tell({"discarded": done.count, "skipped": done.skipped})
        else:
            self.stdout.write(f"Discarded {done.count:,} dead letters.")

    def _send_now(self, options: dict[str, Any]) -> None:
        self._of_retries(options, retrying.SEND_NOW)

    def _cancel(self, options: dict[str, Any]) -> None:
        self._of_retries(options, retrying.CANCEL)

    def _of_retries(self, options: dict[str, Any], act: retrying.RetryAct) -> None:
        filters, seen = retrying.counted(options)
        if options["dry_run"] or not seen.count:
            self._preview(seen, act.done, options, what="retries")
            return
        done = retrying.carry_out(act, filters, seen, _user())
        if options["json"]:
            self._tell(retrying.told(done))
        else:
            self.stdout.write(retrying.words(act, done))

    def _preview(self, seen: Preview, verb: str, options: dict[str, Any], what: str = "dead letters") -> None:
        if options["json"]:
            groups = {"by_error": seen.by_error, "by_origin": seen.by_origin}
            listed = {name: {group.label: group.count for group in found} for name, found in groups.items()}
            others = {"other_errors": seen.of_other_errors, "other_origins": seen.of_other_origins}
            self._tell({"count": seen.count, "oldest": seen.oldest, **listed, **others, "changed": False})
            return
        self.stdout.write(f"{seen.count:,} {what} would be {verb}. Nothing was changed.")
        for group in seen.by_error:
            self.stdout.write(f"{group.count:>9,}  {group.label or NONE}")
        if seen.of_other_errors:
            self.stdout.write(f"{seen.of_other_errors:>9,}  other errors")

    def _outlook(self, found: Outlook) -> None:
        self.stdout.write(
            f"Of {found.looked_at:,} that were looked at {found.changed:,} would be edited, {found.unchanged:,} stay as"
            f" they are, {found.left_out:,} can't be edited and would be skipped."
        )
        for group in found.reasons:
            self.stdout.write(f"{group.count:>9,}  {group.label}")

    def _redact(self, options: dict[str, Any]) -> None:
        # Whatever their state: what is discarded or processed is stored as well.
        filters = filters_of({**options, "state": options["state"] or "all"})
        redacting = Redacting(filters, self.stdout, self.stderr, as_json=options["json"])
        redacting.preview() if options["dry_run"] else redacting.carry_out(_user())

    def _export(self, options: dict[str, Any]) -> None:
        count = 0
        with _opened(options["file"], "w", self.stdout) as target:
            for line in exchange.lines(filters_of(options).queryset()):
                target.write(line)
                count += 1
                if count % TELL_EVERY == 0:
                    self.stderr.write(f"{count:,} exported …")
        self.stderr.write(f"Exported {count:,} dead letters.")

    def _import(self, options: dict[str, Any]) -> None:
        with _opened(options["file"], "r", sys.stdin) as source:
            done = exchange.read(source, actor=None, actor_name=_user())
        for problem in done.problems:
            self.stderr.write(problem)
        if options["json"]:
            self._tell({"created": done.created, "known": done.known, "problems": done.problems})
        else:
            self.stdout.write(f"Imported {done.created:,} dead letters; {done.known:,} were there already.")
        if done.problems:
            raise CommandError(f"{len(done.problems)} lines could not be read")

    def _index(self, _options: dict[str, Any]) -> None:
        if why := postgres.index_text(connections[DeadLetter.objects.db]):
            raise CommandError(why)
        self.stdout.write("Text in dead letters is searched by an index.")

    def _tell(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2))


def _line(row: DeadLetter) -> dict[str, Any]:
    names = ("state", "origin", "error_type", "error_message", "attempts", "replays", "failed_at", "body_size")
    due = {"due_at": row.due_at} if row.state == DeadLetterState.SCHEDULED else {}
    return {"id": str(row.pk), **due, "consumer": row.consumer_name, **{name: getattr(row, name) for name in names}}


def _group(heap: counting.Heap) -> dict[str, Any]:
    if heap.group is None:
        return {}
    return {"group": heap.group.pk, "last_failed_at": heap.group.last_failed_at, "note": heap.group.note}


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise CommandError(f"{text!r} is no id: it looks like {uuid.UUID(int=timezone.now().day)}") from None


def _user() -> str:
    try:
        return f"{getpass.getuser()} at a shell"
    except (KeyError, OSError):
        return "somebody at a shell"


@contextmanager
def _opened(name: str, mode: str, standard: Any) -> Iterator[Any]:
    if name == "-":
        yield standard
        return
    try:
        with Path(name).open(mode, encoding="utf-8") as file:
            yield file
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{name}: {error}") from error

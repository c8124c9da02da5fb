"""Dead letters that stay in the broker, for consumers whose capture is off: what an operator asks for, and what workers
write of it. Synchronous; acts of operators are audited. Owns no session: workers carry it out.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.conf import settings_now
from stompconsole.conf.redact import WrongRuleError
from stompconsole.deadletters import sealing, storable
from stompconsole.deadletters.redacting import Redactor
from stompconsole.delivery import envelope
from stompconsole.delivery.browsing import Browsed, Shown
from stompconsole.delivery.returning import Errand, Going
from stompconsole.models import BrokerBrowse, BrokerReplay, Consumer, ErrandState

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SHOWN = 50
"""Messages of a look."""

MAX_BODY = 2_048
"""Bytes of a body that a look keeps."""

NOT_STORED = b'(Bodies are not stored, nor shown here: STOMPCONSOLE["STORE_BODIES"], or the consumer.)'

MAX_HEADER = 1_000
FORGOTTEN_AFTER = timedelta(hours=1)
"""Looks hold headers and bodies: they are not kept."""

GIVEN_UP_AFTER = timedelta(minutes=1)
"""A look that a worker has begun and not finished is begun again."""

MAX_NOTE = 2_000
UNFINISHED = (ErrandState.WAITING, ErrandState.RUNNING)

CAPTURED = "Capture is on: what arrives there is stored by the console. Replay it from the dead letters."
RUNS_ALREADY = "One is under way for this consumer already: it has to end first, or be cancelled."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What became of a wish. ``refusal`` says why nothing did."""

    replay: BrokerReplay | None = None
    refusal: str = ""


def ask_replay(
    consumer: Consumer,
    *,
    limit: int | None,
    unknown_to: str,
    reason: str,
    actor: User | None,
    remote_address: str | None = None,
) -> Asked:
    """Have what is in the broker's dead-letter queue of a consumer sent back to where it came from."""
    if consumer.capture:
        return Asked(refusal=CAPTURED)
    fields = {"source": consumer.dead_letters_go_to, "limit": limit, "unknown_to": unknown_to}
    try:
        with transaction.atomic():
            row = BrokerReplay.objects.create(
                consumer=consumer, created_by=actor, reason=storable.text(reason, 200), **fields
            )
            _record(Action.BROKER_REPLAY_CREATED, row, actor, remote_address, detail=row.reason, data=fields)
    except IntegrityError:
        return Asked(refusal=RUNS_ALREADY)
    return Asked(replay=row)


@transaction.atomic
def cancel_replay(pk: int, *, actor: User | None, remote_address: str | None = None) -> bool:
    """End it: what is in flight is still settled. False if it had ended."""
    note = f"cancelled by {actor.get_username() if actor is not None else 'the system'}"
    unfinished = BrokerReplay.objects.filter(pk=pk, state__in=UNFINISHED)
    if not unfinished.update(state=ErrandState.CANCELLED, note=note, finished_at=timezone.now()):
        return False
    _record(Action.BROKER_REPLAY_CANCELLED, BrokerReplay.objects.get(pk=pk), actor, remote_address)
    return True


@transaction.atomic
def ask_browse(consumer: Consumer, *, actor: User | None, remote_address: str | None = None) -> None:
    """Have the first dead letters in the broker shown. Audited: it shows what is in messages."""
    looks = BrokerBrowse.objects.filter(consumer=consumer)
    if looks.filter(state__in=UNFINISHED).exists():
        return
    looks.delete()
    BrokerBrowse.objects.create(consumer=consumer, asked_by=actor)
    audit.record(
        Action.BROKER_LETTERS_SHOWN,
        consumer.dead_letters_go_to,
        actor=actor,
        consumer=consumer,
        remote_address=remote_address,
    )


def take_replay(worker_id: uuid.UUID, lease_s: float, carrying: Iterable[int]) -> int | None:
    """Take one that nobody carries out, or whose worker has let its lease run out; None if there is none."""
    free = Q(lease_until=None) | Q(lease_until__lt=Now()) | Q(worker=None) | Q(worker_id=worker_id)
    unclaimed = BrokerReplay.objects.filter(free, state__in=UNFINISHED).exclude(pk__in=list(carrying))
    for pk in unclaimed.order_by("pk").values_list("pk", flat=True)[:10]:
        row = BrokerReplay.objects.filter(free, pk=pk, state__in=UNFINISHED)
        if row.update(worker_id=worker_id, lease_until=_lease(lease_s), state=ErrandState.RUNNING):
            return pk
    return None


def errand(pk: int) -> Errand:
    """What there is to do; what another worker has moved before is not moved again. Raises ConfigurationError."""
    row = BrokerReplay.objects.select_related("consumer__broker").get(pk=pk)
    return Errand(
        broker=row.consumer.broker.spec(),
        source=row.source,
        subscriptions={each.name: each.wanted for each in _sharing(row)},
        limit=None if row.limit is None else max(0, row.limit - row.moved),
        unknown_to=row.unknown_to,
        mark=str(row.pk),
    )


def _sharing(row: BrokerReplay) -> Iterator[Consumer]:
    """The consumers whose dead letters are in this queue: those of one topic share it, unless told otherwise."""
    for each in Consumer.objects.filter(broker=row.consumer.broker_id):
        if each.dead_letters_go_to == row.source:
            yield each


def write(pk: int, worker_id: uuid.UUID, lease_s: float, going: Going, moved_now: int) -> bool:
    """How far it is; ``moved_now`` since the last time. False when it is to be left: cancelled, or another's."""
    mine = _mine(pk, worker_id)
    _count(mine, going, moved_now)
    running = mine.filter(state=ErrandState.RUNNING)
    note = going.trouble or going.why
    return bool(running.update(lease_until=_lease(lease_s), note=storable.text(note, MAX_NOTE)))


@transaction.atomic
def finish(pk: int, worker_id: uuid.UUID, worker_name: str, going: Going, moved_now: int) -> None:
    """It is over. One that was cancelled meanwhile stays so."""
    mine = _mine(pk, worker_id)
    _count(mine, going, moved_now)
    state = ErrandState.FAILED if going.failure else ErrandState.DONE
    note = " ".join(filter(None, (going.over, f"Last left: {going.why}." if going.why else "")))
    running = mine.filter(state=ErrandState.RUNNING)
    if running.update(state=state, note=storable.text(note, MAX_NOTE), finished_at=timezone.now()):
        row = BrokerReplay.objects.get(pk=pk)
        data = {"moved": row.moved, "skipped": row.skipped, "failed": row.failed, "failed_again": row.failed_again}
        _record(Action.BROKER_REPLAY_DONE, row, None, None, actor_name=worker_name, detail=row.note, data=data)
    _mine(pk, worker_id).update(worker=None, lease_until=None)


def leave(pk: int, worker_id: uuid.UUID, going: Going, moved_now: int) -> None:
    """A worker that stops lets another go on at once."""
    mine = _mine(pk, worker_id)
    _count(mine, going, moved_now)
    mine.update(worker=None, lease_until=None)


def take_browse() -> int | None:
    """Take a look that is to be carried out; None if there is none."""
    stuck = Q(state=ErrandState.RUNNING, done_at__lt=Now() - GIVEN_UP_AFTER)
    due = BrokerBrowse.objects.filter(Q(state=ErrandState.WAITING) | stuck)
    for pk in due.order_by("pk").values_list("pk", flat=True)[:10]:
        row = BrokerBrowse.objects.filter(Q(state=ErrandState.WAITING) | stuck, pk=pk)
        # Its time tells others when to take it for stuck.
        if row.update(state=ErrandState.RUNNING, done_at=Now()):
            return pk
    return None


def write_browse(pk: int, browsed: Browsed) -> None:
    """What was seen, less what redaction hides of this consumer's messages."""
    consumer = Consumer.objects.filter(browses=pk).first()
    messages, reason = [], browsed.reason
    try:
        redactor = sealing.redactor_of(consumer)
        stores_body = settings_now().store_bodies and (consumer is None or consumer.store_body)
        messages = [_message(each, redactor, stores_body=stores_body) for each in browsed.messages]
    except WrongRuleError as error:
        reason = f"What must not be shown can't be told: {error}"
    BrokerBrowse.objects.filter(pk=pk).update(
        state=ErrandState.FAILED if reason else ErrandState.DONE,
        done_at=Now(),
        reason=storable.text(reason, MAX_NOTE),
        messages=messages,
        more=browsed.more,
    )


def purge() -> int:
    """Delete looks that are old."""
    return BrokerBrowse.objects.filter(asked_at__lt=Now() - FORGOTTEN_AFTER).delete()[0]


def _message(shown: Shown, redactor: Redactor, *, stores_body: bool) -> dict[str, Any]:
    quotes = redactor.hide(shown.headers, shown.body).quotes
    headers = {name: quotes.taken_out_of(value) for name, value in redactor.headers(shown.headers).items()}
    ours = envelope.read(headers)
    body = redactor.body(shown.body) if stores_body else NOT_STORED
    start = body[:MAX_BODY]
    return {
        "headers": {name: value[:MAX_HEADER] for name, value in storable.headers(headers).items()},
        "origin": storable.text((ours.origin if ours else "") or shown.origin, 500),
        "error_type": storable.text(ours.error_type, 255) if ours else "",
        "error_message": storable.text(ours.error_message, MAX_HEADER) if ours else "",
        "failed_at": ours.failed_at.isoformat() if ours else "",
        "body": storable.text(start.decode(errors="replace")),
        "cut": len(body) > len(start),
        "size": len(shown.body),
    }


def _mine(pk: int, worker_id: uuid.UUID) -> QuerySet[BrokerReplay]:
    return BrokerReplay.objects.filter(pk=pk, worker_id=worker_id)


def _count(mine: QuerySet[BrokerReplay], going: Going, moved_now: int) -> None:
    # Added, not set: another worker may have moved some before.
    mine.update(
        moved=F("moved") + moved_now, skipped=going.skipped, failed=going.failed, failed_again=going.failed_again
    )


def _lease(seconds: float) -> Any:
    return Now() + timedelta(seconds=seconds)


def _record(
    action: Action,
    row: BrokerReplay,
    actor: User | None,
    remote_address: str | None,
    *,
    actor_name: str = "",
    detail: str = "",
    data: dict[str, Any] | None = None,
) -> None:
    audit.record(
        action,
        row.source,
        actor=actor,
        actor_name=actor_name,
        consumer=row.consumer,
        detail=detail,
        data={"broker_replay": row.pk, **(data or {})},
        remote_address=remote_address,
    )

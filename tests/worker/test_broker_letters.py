"""What operators ask for of dead letters in the broker, carried out by workers."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from stompconsole.deadletters import broker_letters
from stompconsole.delivery import returning
from stompconsole.delivery.browsing import Browsed, Shown
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.returning import Going
from stompconsole.delivery.senders import Senders
from stompconsole.models import AuditEntry, BrokerBrowse, BrokerReplay, Consumer, ErrandState
from stompconsole.worker.broker_letters import BrokerLetters
from tests.dashboard import rows
from tests.deadletters.making import make_broker, make_consumer, make_worker
from tests.delivery.running import Seen, running, send, take_all
from tests.delivery.test_returning import died
from tests.support.brokers import TestBroker
from tests.support.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = override_settings(STOMPCONSOLE={"POLL_INTERVAL": 0.1, "LEASE": 2.0})


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returning, "IDLE_S", 0.5)


@pytest.fixture
def consumer(devbroker: TestBroker) -> Consumer:
    return make_consumer(make_broker(devbroker), destination="/queue/orders", capture=False)


def asked(consumer: Consumer, **fields: Any) -> BrokerReplay:
    defaults = {"limit": None, "unknown_to": "", "reason": "", "actor": None}
    replay = broker_letters.ask_replay(consumer, **{**defaults, **fields}).replay
    assert replay is not None
    return replay


def work_until(predicate: Callable[[], object], *, within_s: float = 20.0) -> None:
    """Have a worker carry out errands until something holds."""
    worker = make_worker()
    asyncio.run(_work_until(sync_to_async(predicate), worker.pk, within_s))


async def _work_until(predicate: Callable[[], Any], worker_id: uuid.UUID, within_s: float) -> None:
    stop, senders = asyncio.Event(), Senders()
    working = asyncio.create_task(BrokerLetters(worker_id, "here:1", senders).run(stop))
    try:
        async with asyncio.timeout(within_s):
            while not await predicate():
                await asyncio.wait({working}, timeout=0.05)
    finally:
        stop.set()
        await asyncio.wait_for(working, 15)
        await asyncio.to_thread(senders.close, 2.0)
        await sync_to_async(_close)()


def _close() -> None:
    connection.close()


def is_in(state: ErrandState, row: BrokerReplay | BrokerBrowse) -> Callable[[], bool]:
    def look() -> bool:
        row.refresh_from_db()
        return row.state == state

    return look


@pytest.mark.long
@QUICK
def test_dead_letters_go_back_and_the_row_says_how_many(consumer: Consumer) -> None:
    broker = consumer.spec().broker
    died(broker, "/queue/DLQ.orders", "/queue/orders", [1, 2])
    send(broker, "/queue/DLQ.orders", ["lost"])
    replay = asked(consumer)
    work_until(is_in(ErrandState.DONE, replay))
    assert (replay.moved, replay.skipped, replay.failed) == (2, 1, 0)
    assert replay.note.startswith("Nothing more came. Last left:")
    assert "its origin is not known" in replay.note
    assert replay.worker is None
    assert replay.finished_at is not None
    assert sorted(take_all(broker, "/queue/orders", 2)) == [1, 2]
    assert take_all(broker, "/queue/DLQ.orders", 1) == ["lost"]
    created, done = AuditEntry.objects.order_by("pk")
    assert (created.action, done.action) == ("broker replay created", "broker replay done")
    assert done.data == {"broker_replay": replay.pk, "moved": 2, "skipped": 1, "failed": 0, "failed_again": 0}


@pytest.mark.long
@QUICK
def test_what_fails_again_at_once_does_not_go_round_in_circles(consumer: Consumer) -> None:
    spec = consumer.spec()
    died(spec.broker, "/queue/DLQ.orders", "/queue/orders", [1, 2, 3])
    replay = asked(consumer)

    def failing(seen: Seen) -> Handler:
        def handle(payload: Payload) -> None:
            seen.keep(payload)
            raise KeyError("sku")

        return handle

    with running(spec.broker, spec.destination, failing, dead_letter_destination=spec.dead_letters) as run:
        work_until(is_in(ErrandState.DONE, replay))
        assert (replay.moved, replay.failed_again) == (3, 3)
        assert len(run.seen.bodies) == 3
    assert sorted(take_all(spec.broker, "/queue/DLQ.orders", 3)) == [1, 2, 3]


@pytest.mark.long
@QUICK
def test_what_it_waits_for_is_said_and_it_can_be_cancelled(consumer: Consumer) -> None:
    consumer.broker.port = free_port()
    consumer.broker.save()
    replay = asked(consumer)

    def waits() -> bool:
        replay.refresh_from_db()
        return "refused" in replay.note

    work_until(waits)
    assert broker_letters.cancel_replay(replay.pk, actor=rows.make_user(name="ann"))
    replay.refresh_from_db()
    assert (replay.state, replay.note) == (ErrandState.CANCELLED, "cancelled by ann")
    assert not broker_letters.cancel_replay(replay.pk, actor=None)


@pytest.mark.long
@QUICK
def test_a_worker_that_stops_leaves_it_to_another_which_does_not_move_more_than_asked_for(consumer: Consumer) -> None:
    broker = consumer.spec().broker
    replay = asked(consumer, limit=3)
    died(broker, "/queue/DLQ.orders", "/queue/orders", [1, 2])

    def two() -> bool:
        replay.refresh_from_db()
        return replay.moved == 2 or replay.state == ErrandState.DONE

    work_until(two)
    replay.refresh_from_db()
    assert replay.moved == 2
    BrokerReplay.objects.update(state=ErrandState.RUNNING)
    died(broker, "/queue/DLQ.orders", "/queue/orders", [3, 4])
    work_until(is_in(ErrandState.DONE, replay))
    assert (replay.moved, take_all(broker, "/queue/DLQ.orders", 1)) == (3, [4])


def test_one_whose_worker_is_gone_is_taken_over_when_its_lease_has_run_out() -> None:
    replay = asked(rows.make_consumer(capture=False))
    one, two = make_worker(), make_worker()
    assert broker_letters.take_replay(one.pk, 10, ()) == replay.pk
    assert broker_letters.take_replay(two.pk, 10, ()) is None
    BrokerReplay.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert broker_letters.take_replay(two.pk, 10, ()) == replay.pk
    assert not broker_letters.write(replay.pk, one.pk, 10, Going(), 0)
    assert broker_letters.write(replay.pk, two.pk, 10, Going(moved=4), 4)
    replay.refresh_from_db()
    assert replay.moved == 4


def test_one_at_a_time_and_none_where_capture_is_on() -> None:
    consumer = rows.make_consumer(capture=False)
    fields: dict[str, Any] = {"limit": None, "unknown_to": "", "reason": "", "actor": None}
    replay = asked(consumer)
    assert "under way" in broker_letters.ask_replay(consumer, **fields).refusal
    broker_letters.cancel_replay(replay.pk, actor=None)
    assert broker_letters.ask_replay(consumer, **fields).replay is not None
    assert "Capture is on" in broker_letters.ask_replay(rows.make_consumer(), **fields).refusal
    assert BrokerReplay.objects.count() == 2


@QUICK
def test_a_broker_that_can_t_be_browsed_is_the_answer_to_a_look(consumer: Consumer) -> None:
    broker_letters.ask_browse(consumer, actor=None)
    look = BrokerBrowse.objects.get()
    work_until(is_in(ErrandState.FAILED, look))
    assert "no way to look into a queue" in look.reason


def test_a_look_keeps_the_start_of_bodies_and_what_killed_each() -> None:
    consumer = rows.make_consumer(capture=False)
    broker_letters.ask_browse(consumer, actor=None)
    broker_letters.ask_browse(consumer, actor=None)
    look = BrokerBrowse.objects.get()
    assert broker_letters.take_browse() == look.pk
    assert broker_letters.take_browse() is None
    headers = {"stompconsole-dead-letter-id": "d", "stompconsole-failure-id": "f", "stompconsole-origin": "/queue/a"}
    ours = Shown(headers={**headers, "stompconsole-error-type": "KeyError"}, origin="", body=b"x" * 5_000)
    foreign = Shown(headers={"h": "v" * 5_000}, origin="/queue/b", body=b"\xff\0")
    broker_letters.write_browse(look.pk, Browsed(messages=[ours, foreign], more=True))
    look.refresh_from_db()
    one, two = look.messages
    assert (one["origin"], one["error_type"], one["size"], one["cut"]) == ("/queue/a", "KeyError", 5_000, True)
    assert (two["origin"], two["error_type"], len(two["headers"]["h"])) == ("/queue/b", "", 1_000)
    assert look.more
    assert broker_letters.purge() == 0
    BrokerBrowse.objects.update(asked_at=timezone.now() - timedelta(hours=2))
    assert broker_letters.purge() == 1


def test_a_look_keeps_nothing_that_redaction_hides() -> None:
    consumer = rows.make_consumer(capture=False, redact="$.pin\nx-token")
    broker_letters.ask_browse(consumer, actor=None)
    pk = broker_letters.take_browse()
    assert pk is not None
    headers = {
        "stompconsole-dead-letter-id": "d",
        "stompconsole-failure-id": "f",
        "stompconsole-error-message": "no such pin: hunter2",
        "x-token": "sesame-4711",
    }
    shown = Shown(headers=headers, origin="/queue/b", body=b'{"pin": "hunter2", "order": 1}')
    broker_letters.write_browse(pk, Browsed(messages=[shown]))
    [message] = BrokerBrowse.objects.get().messages
    assert message["error_message"] == "no such pin: [redacted]"
    assert '"order": 1' in message["body"]
    assert "hunter2" not in str(message)
    assert "sesame" not in str(message)


@pytest.mark.parametrize(("setting", "field"), [(False, True), (True, False)])
def test_a_look_keeps_no_body_that_is_not_to_be_stored(setting: bool, field: bool) -> None:
    broker_letters.ask_browse(rows.make_consumer(capture=False, store_body=field), actor=None)
    pk = broker_letters.take_browse()
    assert pk is not None
    with override_settings(STOMPCONSOLE={"STORE_BODIES": setting}):
        broker_letters.write_browse(pk, Browsed(messages=[Shown(headers={}, origin="", body=b"secret")]))
    [message] = BrokerBrowse.objects.get().messages
    assert message["size"] == 6
    assert "secret" not in str(message)


def test_a_look_whose_worker_is_gone_is_begun_again() -> None:
    broker_letters.ask_browse(rows.make_consumer(capture=False), actor=None)
    pk = broker_letters.take_browse()
    BrokerBrowse.objects.update(done_at=timezone.now() - timedelta(minutes=2))
    assert broker_letters.take_browse() == pk

"""The replay engine on a wire: what is sent, what is written down, and what it does when something is in the way."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from stompconsole.brokers import BrokerKind
from stompconsole.deadletters import controlling, doubts, portions, replay_rows, selection
from stompconsole.deadletters.leasing import Lease
from stompconsole.deadletters.outcomes import Progress, progress, record_processed
from stompconsole.deadletters.portions import Outgoing
from stompconsole.deadletters.replay_rows import Orders
from stompconsole.deadletters.resending import Resender
from stompconsole.delivery import envelope
from stompconsole.delivery.jobs import Message
from stompconsole.delivery.sender import Sender
from stompconsole.devbroker.refusals import AfterError
from stompconsole.models import (
    AuditEntry,
    Broker,
    Consumer,
    DeadLetter,
    Replay,
    ReplayItem,
    ReplayItemState,
    ReplayState,
)
from tests.deadletters.engines import running_engine, start_engine
from tests.deadletters.making import make_broker, make_consumer, make_dead_letters, make_worker
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.ports import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def wire() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        yield running


@pytest.fixture(params=[BrokerKind.AUTO, BrokerKind.ACTIVEMQ])
def consumer(wire: RunningDevBroker, request: pytest.FixtureRequest) -> Consumer:
    """Its broker is sent each message by itself, or many in a transaction."""
    return make_consumer(make_broker(port=wire.port, receipt_timeout_s=1.0, kind=request.param))


def replay_of(rows: list[DeadLetter]) -> Replay:
    replay = selection.replay_selected([row.pk for row in rows], actor=None).replay
    assert replay is not None
    return replay


def state(replay: Replay) -> str:
    replay.refresh_from_db()
    return replay.state


def wait_done(replay: Replay, timeout_s: float = 20.0) -> Progress:
    until(lambda: state(replay) == ReplayState.DONE, timeout_s, f"{replay} done, {progress(replay)}")
    return progress(replay)


def wait_note(replay: Replay, words: str) -> None:
    def says() -> bool:
        replay.refresh_from_db()
        return words in replay.note

    until(says, 20, f"a note with {words!r}")


def test_a_dead_letter_goes_back_to_where_it_was_with_the_team_s_headers(
    wire: RunningDevBroker, consumer: Consumer
) -> None:
    headers = {
        "color": "red",
        "content-type": "application/json",
        "content-length": "99",
        "message-id": "old",
        "redelivered": "true",
        envelope.ERROR_TYPE: "builtins.KeyError",
    }
    row = make_dead_letters(consumer, 1, headers=headers, body=b'\x00{"a": 1}')[0]
    replay = replay_of([row])
    with running_engine():
        assert wait_done(replay) == Progress(total=1, sent=1)
    (message,) = wire.messages("/queue/orders")
    assert message.body == b'\x00{"a": 1}'
    sent = {name: value for name, value in message.headers.items() if name not in {"destination", "message-id"}}
    assert sent == {
        "color": "red",
        "content-type": "application/json",
        "content-length": "9",
        "persistent": "true",
        envelope.DEAD_LETTER_ID: str(row.pk),
        envelope.REPLAY_ID: str(replay.pk),
    }
    row.refresh_from_db()
    assert (row.state, row.replays) == ("sent", 1)
    assert ReplayItem.objects.get().sent_at is not None


def test_a_replay_that_is_done_says_when_and_is_in_the_audit(wire: RunningDevBroker, consumer: Consumer) -> None:
    replay = replay_of(make_dead_letters(consumer, 2))
    with running_engine():
        wait_done(replay)
    assert replay.finished_at is not None
    assert (replay.worker, replay.lease_until, replay.note) == (None, None, "")
    entry = AuditEntry.objects.get(action="replay done")
    assert (entry.actor_name, entry.data["sent"]) == ("here:1", 2)


@pytest.mark.long
def test_many_are_sent_in_portions_each_once(wire: RunningDevBroker, consumer: Consumer) -> None:
    rows = make_dead_letters(consumer, 950)
    replay = replay_of(rows)
    with running_engine():
        assert wait_done(replay) == Progress(total=950, sent=950)
    assert len(wire.bodies("/queue/orders")) == 950
    assert set(wire.bodies("/queue/orders")) == {str(number).encode() for number in range(950)}


def test_large_bodies_are_not_all_in_memory(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "PORTION_BYTES", 2_500)
    replay = replay_of(make_dead_letters(consumer, 5, body=b"x" * 1_000, body_size=1_000))
    Replay.objects.update(state=ReplayState.RUNNING)
    sizes = []
    after = 0
    while (portion := portions.portion(replay.pk, after, ())).last_item:
        sizes.append(len(portion.outgoing))
        after = portion.last_item
    assert sizes == [2, 2, 1]


def test_what_can_t_be_sent_is_skipped_with_the_reason(wire: RunningDevBroker, consumer: Consumer) -> None:
    good = make_dead_letters(consumer, 1)[0]
    orphan = make_dead_letters(None, 1)[0]
    lost = make_dead_letters(consumer, 1, origin="")[0]
    odd = make_dead_letters(consumer, 1, headers={"": "c"})[0]
    replay = replay_of([good, orphan, lost, odd])
    with running_engine():
        assert wait_done(replay) == Progress(total=4, sent=1, skipped=3)
    notes = {item.dead_letter_id: item.note for item in replay.items.filter(state=ReplayItemState.SKIPPED)}
    assert "consumer has been deleted" in notes[orphan.pk]
    assert "Where it came from is not known" in notes[lost.pk]
    assert "has an empty name" in notes[odd.pk]
    states = dict(DeadLetter.objects.values_list("pk", "state"))
    assert states == {good.pk: "sent", orphan.pk: "dead", lost.pk: "dead", odd.pk: "dead"}
    assert not ReplayItem.objects.filter(active=True).exists()


def test_what_the_broker_refuses_is_skipped_with_its_words_and_holds_up_no_other(
    wire: RunningDevBroker, consumer: Consumer
) -> None:
    wire.faults.refuse_sends("User app is not authorized to write", "/queue/secret")
    good = make_dead_letters(consumer, 3)
    bad = make_dead_letters(consumer, 1, origin="/queue/secret")
    replay = replay_of([*good[:1], *bad, *good[1:]])
    with running_engine():
        assert wait_done(replay) == Progress(total=4, sent=3, skipped=1)
    note = replay.items.get(dead_letter=bad[0]).note
    assert note.startswith("The broker refuses it: User app is not authorized to write")
    assert len(wire.bodies("/queue/orders")) == 3


def test_a_message_over_which_the_broker_closes_is_found_out(wire: RunningDevBroker, consumer: Consumer) -> None:
    wire.faults.refuse_sends("Not that one", "/queue/secret", AfterError.CLOSE)
    good = make_dead_letters(consumer, 20)
    bad = make_dead_letters(consumer, 1, origin="/queue/secret")
    replay = replay_of([*good, *bad])
    with running_engine():
        assert wait_done(replay) == Progress(total=21, sent=20, skipped=1)
    assert "Not that one" in replay.items.get(dead_letter=bad[0]).note
    assert set(wire.bodies("/queue/orders")) == {str(number).encode() for number in range(20)}


@pytest.mark.long
def test_a_broker_that_is_away_makes_a_replay_wait_with_the_reason(consumer: Consumer) -> None:
    port = free_port()
    away = make_consumer(make_broker(port=port))
    replay = replay_of(make_dead_letters(away, 3))
    with running_engine():
        wait_note(replay, f"127.0.0.1:{port}")
        assert progress(replay) == Progress(total=3, waiting=3)
        with running_devbroker(port=port) as late:
            assert wait_done(replay) == Progress(total=3, sent=3)
            assert len(late.bodies("/queue/orders")) == 3
    assert replay.note == ""


def test_the_items_of_other_brokers_do_not_wait(wire: RunningDevBroker, consumer: Consumer) -> None:
    away = make_consumer(make_broker(port=free_port()))
    rows = make_dead_letters(away, 250) + make_dead_letters(consumer, 250)
    replay = replay_of(rows)
    with running_engine():
        until(lambda: progress(replay) == Progress(total=500, waiting=250, sent=250), 20, "the other broker's are sent")


@pytest.mark.long
def test_a_broker_that_is_blocked_makes_a_replay_wait_and_go_on_by_itself(
    wire: RunningDevBroker, consumer: Consumer
) -> None:
    wire.faults.block_sends()
    replay = replay_of(make_dead_letters(consumer, 5))
    with running_engine():
        wait_note(replay, "does not confirm")
        wire.faults.unblock_sends()
        assert wait_done(replay).sent == 5
    assert set(wire.bodies("/queue/orders")) == {str(number).encode() for number in range(5)}


@pytest.mark.long
def test_the_reason_why_a_replay_waits_stays_for_as_long_as_it_waits(
    wire: RunningDevBroker, consumer: Consumer
) -> None:
    wire.faults.block_sends()
    replay = replay_of(make_dead_letters(consumer, 5))
    with running_engine():
        wait_note(replay, "does not confirm")
        until_s = time.monotonic() + 3.0

        def stays() -> bool:
            replay.refresh_from_db()
            assert replay.note
            return time.monotonic() > until_s

        # Longer than a receipt may take and the pause after it: it has tried again by then.
        until(stays, 5, "three seconds are over")
        wire.faults.unblock_sends()
        wait_done(replay)
    assert replay.note == ""


@pytest.mark.long
def test_one_full_queue_does_not_keep_those_behind_it_for_ever(
    wire: RunningDevBroker, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "PORTION", 2)
    wire.faults.block_sends("/queue/full")
    full = make_dead_letters(consumer, 1, origin="/queue/full", pk=uuid.UUID(int=1))
    replay = replay_of(full + make_dead_letters(consumer, 6))
    with running_engine():
        until(lambda: progress(replay).sent == 6, 30, "those for other queues are sent")
        wait_note(replay, "does not confirm")


def test_the_next_portion_is_read_while_it_is_written_down_what_came_of_the_last(
    wire: RunningDevBroker, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "PORTION", 2)
    record, portion = replay_rows.record, portions.portion
    writing, read = threading.Event(), threading.Event()

    def recorded(*given: Any) -> None:
        writing.set()
        assert read.wait(10), "it is not read until all is written down"
        record(*given)

    def read_meanwhile(*given: Any) -> portions.Portion:
        found = portion(*given)
        if writing.is_set():
            read.set()
        return found

    monkeypatch.setattr(replay_rows, "record", recorded)
    monkeypatch.setattr(portions, "portion", read_meanwhile)
    replay = replay_of(make_dead_letters(consumer, 6))
    with running_engine():
        assert wait_done(replay).sent == 6
    lanes = {"replay reader lane", "replay writer lane"}
    assert not lanes & {thread.name for thread in threading.enumerate()}, "they end with the engine"


@pytest.mark.usefixtures("wire")
def test_a_portion_that_is_begun_and_not_sent_since_the_replay_is_paused_is_not_in_doubt(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "PORTION", 2)
    replay = replay_of(make_dead_letters(consumer, 6))
    record, portion, obey = replay_rows.record, portions.portion, Lease.__dict__["_obey"]
    reads, obeyed = threading.Semaphore(0), threading.Event()

    def read(*given: Any) -> portions.Portion:
        reads.release()
        return portion(*given)

    def obeying(lease: Lease, orders: Orders) -> None:
        obey(lease, orders)
        if orders.state is ReplayState.PAUSED:
            obeyed.set()

    def recorded(*given: Any) -> None:
        if not obeyed.is_set():
            # The third is read when the second is about to be begun.
            assert all(reads.acquire(timeout=10) for _ in range(3))
            assert controlling.pause_replay(replay.pk, actor=None)
            assert obeyed.wait(10)
        record(*given)

    monkeypatch.setattr(portions, "portion", read)
    monkeypatch.setattr(Lease, "_obey", obeying)
    monkeypatch.setattr(replay_rows, "record", recorded)
    with running_engine():
        until(lambda: progress(replay).sent == 2, 20, "it is written down what came of the first")
    assert (progress(replay), replay.flights.count()) == (Progress(total=6, waiting=4, sent=2), 0)
    assert controlling.resume_replay(replay.pk, actor=None)
    with running_engine():
        assert wait_done(replay).sent == 6
    assert not replay.items.filter(doubtful=True).exists()


@pytest.fixture
def in_fours(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[DeadLetter]]:
    """Twenty in portions of four, of which one, in the third portion, is for another queue."""
    monkeypatch.setattr(portions, "PORTION", 4)

    def made(elsewhere: str) -> list[DeadLetter]:
        origins = {9: elsewhere}
        return [
            make_dead_letters(consumer, 1, pk=uuid.UUID(int=number), origin=origins.get(number, "/queue/orders"))[0]
            for number in range(1, 21)
        ]

    return made


@pytest.mark.long
def test_the_next_portion_is_on_its_way_before_the_last_is_confirmed_and_no_more_than_two_are(
    wire: RunningDevBroker, consumer: Consumer, in_fours: Callable[[str], list[DeadLetter]]
) -> None:
    Broker.objects.update(receipt_timeout_s=20.0)
    wire.faults.block_sends("/queue/slow")
    replay = replay_of(in_fours("/queue/slow"))
    items = ReplayItem.objects.filter(replay=replay)
    with running_engine():
        until(lambda: items.filter(state=ReplayItemState.SENT).count() == 8, 20, "two portions are written down")
        until(lambda: replay.flights.count() == 2, 20, "two more are on their way, and the last one waits")
        assert progress(replay).waiting == 12
        wire.faults.unblock_sends()
        assert wait_done(replay).sent == 20
    assert len(wire.bodies("/queue/orders")) == 19


@pytest.mark.long
def test_one_that_ends_the_connection_is_found_though_another_portion_is_on_its_way(
    wire: RunningDevBroker, in_fours: Callable[[str], list[DeadLetter]]
) -> None:
    wire.faults.refuse_sends("Not that one", "/queue/secret", AfterError.CLOSE)
    replay = replay_of(in_fours("/queue/secret"))
    with running_engine():
        wait_done(replay)
    assert progress(replay) == Progress(total=20, sent=19, skipped=1)
    (skipped,) = ReplayItem.objects.filter(replay=replay, state=ReplayItemState.SKIPPED)
    assert (skipped.dead_letter_id, "Not that one" in skipped.note) == (uuid.UUID(int=9), True)
    ledger = Counter(message.headers[envelope.DEAD_LETTER_ID] for message in wire.messages("/queue/orders"))
    assert len(ledger) == 19
    doubtful = replay.items.filter(doubtful=True).values_list("dead_letter_id", flat=True)
    assert {pk for pk, count in ledger.items() if count > 1} <= set(map(str, doubtful))


@pytest.mark.long
def test_a_connection_that_is_cut_loses_nothing(wire: RunningDevBroker, consumer: Consumer) -> None:
    wire.faults.drop_after(120, "SEND")
    replay = replay_of(make_dead_letters(consumer, 400))
    with running_engine():
        assert wait_done(replay).sent == 400
    assert set(wire.bodies("/queue/orders")) == {str(number).encode() for number in range(400)}


@pytest.mark.long
@pytest.mark.parametrize("consumer", [BrokerKind.ACTIVEMQ], indirect=True)
@pytest.mark.parametrize(("command", "doubtful"), [("SEND", 0), ("COMMIT", 64)])
def test_only_what_may_have_been_committed_is_in_doubt(
    wire: RunningDevBroker, consumer: Consumer, command: str, doubtful: int
) -> None:
    # Windows of 1, 2, 4 … 64: the first goes without a transaction, and the cut comes in that of 64.
    wire.faults.drop_after({"SEND": 100, "COMMIT": 6}[command], command)
    replay = replay_of(make_dead_letters(consumer, 400))
    with running_engine():
        assert wait_done(replay).sent == 400
    ledger = Counter(wire.bodies("/queue/orders"))
    assert set(ledger) == {str(number).encode() for number in range(400)}
    repeated = [body for body, count in ledger.items() if count > 1]
    assert len(repeated) <= doubtful
    assert replay.items.filter(doubtful=True).count() == doubtful


@pytest.mark.parametrize("consumer", [BrokerKind.ACTIVEMQ], indirect=True)
def test_the_others_of_a_transaction_with_one_that_is_refused_do_not_go_one_by_one(
    wire: RunningDevBroker, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone: list[Outgoing] = []
    send_alone = Resender._alone

    async def recording(resender: Resender, way: Any, message: Outgoing, first: Any) -> Any:
        alone.append(message)
        return await send_alone(resender, way, message, first)

    monkeypatch.setattr(Resender, "_alone", recording)
    wire.faults.refuse_sends("User app is not authorized to write", "/queue/secret")
    good, bad = make_dead_letters(consumer, 60), make_dead_letters(consumer, 1, origin="/queue/secret")
    with running_engine():
        assert wait_done(replay_of([*good, *bad])) == Progress(total=61, sent=60, skipped=1)
    assert sorted(wire.bodies("/queue/orders"), key=int) == [str(number).encode() for number in range(60)]
    assert [message.dead_letter_id for message in alone] == [bad[0].pk]


@pytest.mark.parametrize("consumer", [BrokerKind.ACTIVEMQ], indirect=True)
@pytest.mark.parametrize(("transacted", "together"), [(True, [2, 4, 8, 16, 32, 64, 73]), (False, [])])
def test_a_setting_says_whether_messages_go_in_transactions(
    wire: RunningDevBroker,
    consumer: Consumer,
    monkeypatch: pytest.MonkeyPatch,
    transacted: bool,
    together: list[int],
) -> None:
    seen: list[int] = []
    send_together = Sender.send_together

    def recording(sender: Sender, messages: Sequence[Message]) -> Future[None]:
        seen.append(len(messages))
        return send_together(sender, messages)

    monkeypatch.setattr(Sender, "send_together", recording)
    with override_settings(STOMPCONSOLE={"TRANSACTED_REPLAYS": transacted}), running_engine():
        assert wait_done(replay_of(make_dead_letters(consumer, 200))).sent == 200
    assert seen == together
    assert len(wire.bodies("/queue/orders")) == 200


@pytest.mark.long
def test_a_cancelled_replay_stops_and_gives_the_rest_back(wire: RunningDevBroker, consumer: Consumer) -> None:
    away = make_consumer(make_broker(port=free_port()))
    replay = replay_of(make_dead_letters(away, 3) + make_dead_letters(consumer, 2))
    with running_engine():
        until(lambda: progress(replay).sent == 2, 20, "the others are sent")
        assert controlling.cancel_replay(replay.pk, actor=None)
        until(lambda: progress(replay) == Progress(total=5, sent=2, skipped=3), 20, "the rest is given back")
    replay.refresh_from_db()
    assert (replay.state, replay.worker, replay.lease_until) == (ReplayState.CANCELLED, None, None)
    assert set(DeadLetter.objects.filter(consumer=away).values_list("state", flat=True)) == {"dead"}


def test_a_worker_that_stops_gives_its_replay_to_the_next(wire: RunningDevBroker, consumer: Consumer) -> None:
    wire.faults.block_sends()
    replay = replay_of(make_dead_letters(consumer, 2))
    with running_engine():
        until(lambda: state(replay) == ReplayState.RUNNING, 10, "taken")
    replay.refresh_from_db()
    assert (replay.state, replay.worker) == (ReplayState.RUNNING, None)
    wire.faults.unblock_sends()
    with running_engine():
        assert wait_done(replay, 5.0).sent == 2, "without waiting for a lease"


def test_a_nudge_starts_a_replay_before_the_next_poll(wire: RunningDevBroker, consumer: Consumer) -> None:
    with override_settings(STOMPCONSOLE={"POLL_INTERVAL": 60}), running_engine() as engine:
        replay = replay_of(make_dead_letters(consumer, 1))
        engine.nudge()
        assert wait_done(replay, 10.0).sent == 1


def test_a_replay_is_carried_out_by_one_worker_at_a_time(consumer: Consumer) -> None:
    replay = replay_of(make_dead_letters(consumer, 1))
    one, other = make_worker(), make_worker()
    assert replay_rows.take(one.pk, 10.0, ()) == replay.pk
    assert replay_rows.take(other.pk, 10.0, ()) is None
    assert replay_rows.take(one.pk, 10.0, (replay.pk,)) is None
    assert replay_rows.renew(replay.pk, other.pk, 10.0) is None
    assert replay_rows.renew(replay.pk, one.pk, 0.0) == Orders(state=ReplayState.RUNNING, rate=None)
    assert until(lambda: replay_rows.take(other.pk, 10.0, ()), 5, "taken over") == replay.pk
    assert replay_rows.renew(replay.pk, one.pk, 10.0) is None, "the first has lost it"
    assert not replay_rows.finish(replay.pk, one.pk, "one")
    assert not replay_rows.finish(replay.pk, other.pk, "other"), "one item is waiting"


@pytest.mark.long
def test_what_a_dead_worker_left_of_a_cancelled_replay_is_given_back(consumer: Consumer) -> None:
    replay = replay_of(make_dead_letters(consumer, 2))
    Replay.objects.update(
        worker=make_worker(), lease_until=timezone.now() + timedelta(seconds=2), state=ReplayState.RUNNING
    )
    controlling.cancel_replay(replay.pk, actor=None)
    with running_engine():
        until(lambda: progress(replay).skipped == 2, 20, "given back")
    replay.refresh_from_db()
    assert (replay.state, replay.lease_until) == (ReplayState.CANCELLED, None)


def test_what_a_dead_worker_had_begun_of_a_cancelled_replay_may_still_arrive(consumer: Consumer) -> None:
    replay = replay_of(make_dead_letters(consumer, 4))
    Replay.objects.update(state=ReplayState.RUNNING)
    replay_rows.begin(replay.pk, portions.portion(replay.pk, 0, (), most=3).outgoing)
    assert controlling.cancel_replay(replay.pk, actor=None)
    notes = replay.items.order_by("pk").values_list("note", flat=True)
    assert list(notes) == [doubts.MAY_ARRIVE] * 3 + ["cancelled by the system"]
    assert not replay.flights.exists()


def test_what_a_dead_worker_had_begun_is_in_doubt_and_nothing_else_is(
    wire: RunningDevBroker, consumer: Consumer
) -> None:
    replay = replay_of(make_dead_letters(consumer, 5))
    Replay.objects.update(state=ReplayState.RUNNING)
    replay_rows.begin(replay.pk, portions.portion(replay.pk, 0, (), most=2).outgoing)
    assert [message.in_doubt for message in portions.portion(replay.pk, 0, ()).outgoing] == [True] * 2 + [False] * 3
    # It begins as well, knows that it has not sent any, and ends: what the first one left is in doubt all the same.
    flight = replay_rows.begin(replay.pk, portions.portion(replay.pk, 0, ()).outgoing)
    replay_rows.record(replay.pk, [], [], flight)
    assert [message.in_doubt for message in portions.portion(replay.pk, 0, ()).outgoing] == [True] * 2 + [False] * 3
    with running_engine():
        assert wait_done(replay).sent == 5
    assert replay.items.filter(doubtful=True).count() == 2
    assert not replay.flights.exists()


@pytest.mark.long
def test_receipts_are_written_once_the_database_is_back(wire: RunningDevBroker, consumer: Consumer) -> None:
    replay = replay_of(make_dead_letters(consumer, 3))
    wire.faults.block_sends()
    with running_engine():
        until(lambda: wire.connections() == 1 and state(replay) == ReplayState.RUNNING, 10, "sent")
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE stompconsole_replayitem RENAME TO gone")
        try:
            wire.faults.unblock_sends()
            until(lambda: wire.depth("/queue/orders") == 3, 10, "the broker has them")
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE gone RENAME TO stompconsole_replayitem")
        assert wait_done(replay).sent == 3
    assert wire.depth("/queue/orders") == 3, "none was sent twice"


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing_and_repeats_nothing_that_is_written_down(
    wire: RunningDevBroker, consumer: Consumer
) -> None:
    rows = make_dead_letters(consumer, 2_000)
    replay = replay_of(rows)
    items = ReplayItem.objects.filter(replay=replay)
    with start_engine(make_worker().pk, lease_s=2.0) as process:
        process.wait_for_line("running")
        until(lambda: items.filter(state=ReplayItemState.SENT).count() >= 400, 30, "the first portion is sent")
        process.kill()
    written_down = {str(pk) for pk in items.filter(state=ReplayItemState.SENT).values_list("dead_letter", flat=True)}
    assert 400 <= len(written_down) < 2_000
    with running_engine():
        assert wait_done(replay, 60.0) == Progress(total=2_000, sent=2_000)
    ledger = Counter(message.headers[envelope.DEAD_LETTER_ID] for message in wire.messages("/queue/orders"))
    assert set(ledger) == {str(row.pk) for row in rows}
    assert all(ledger[pk] == 1 for pk in written_down)
    assert sum(ledger.values()) <= 2_000 + 2 * portions.PORTION
    twice = {pk for pk, count in ledger.items() if count > 1}
    doubtful = {str(pk) for pk in items.filter(doubtful=True).values_list("dead_letter", flat=True)}
    assert twice <= doubtful, "what was sent twice is among what is said to be"
    assert len(doubtful) <= 2 * portions.PORTION
    assert record_processed([(pk, str(replay.pk)) for pk in ledger]) == 2_000
    assert progress(replay) == Progress(total=2_000, processed=2_000)

"""``runworker stomp`` as processes: definitions followed, leases kept, signals obeyed."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from stompconsole.delivery.specs import Purpose
from stompconsole.models import DeadLetter, Subscription, ThroughputBucket, Worker
from tests.support.waiting import until
from tests.worker.stage import QUICK, Stage

pytestmark = pytest.mark.slow


def test_a_consumer_saved_while_a_worker_runs_is_run_and_counted(stage: Stage) -> None:
    worker = stage.worker()
    row = stage.wait_for_worker(worker)
    consumer = stage.consumer("orders")
    stage.wait_for(consumer, "running")
    stage.send("/queue/orders", range(20))
    until(lambda: sorted(map(int, stage.written())) == list(range(20)), what="all are handled")
    until(lambda: _totals(stage.slots(consumer)[0]) == (20, 20, 0), what="the slot counts them")
    until(lambda: ThroughputBucket.objects.filter(width_s=3600, acked=20).exists(), what="the bucket counts them")
    slot = stage.slots(consumer)[0]
    assert slot.endpoint == f"{stage.broker.host}:{stage.broker.port}"
    assert slot.server
    row.refresh_from_db()
    assert row.memory_bytes > 1_000_000
    assert worker.terminate() == 0


def _totals(slot: Subscription) -> tuple[int, int, int]:
    return slot.received, slot.acked, slot.failed


def test_an_edit_restarts_that_consumer_alone(stage: Stage) -> None:
    worker = stage.worker()
    edited, other = stage.consumer("edited"), stage.consumer("other")
    before = {row: stage.wait_for(row, "running")[0].state_since for row in (edited, other)}
    edited.destination = "/queue/elsewhere"
    edited.save()
    stage.send("/queue/elsewhere", ["there"])
    stage.send("/queue/other", ["here"])
    until(lambda: sorted(stage.written()) == ["here", "there"], what="both are handled")
    until(lambda: stage.slots(edited)[0].state == "running", what="it runs again")
    until(lambda: stage.slots(edited)[0].state_since != before[edited], what="it is a new start")
    assert stage.slots(other)[0].state_since == before[other]
    assert worker.terminate() == 0


def test_pause_resume_and_delete_are_followed(stage: Stage) -> None:
    worker = stage.worker()
    consumer = stage.consumer("orders")
    stage.wait_for(consumer, "running")

    consumer.paused = True
    consumer.save()
    slot = until(lambda: next((s for s in stage.slots(consumer) if not s.worker_id), None), what="it is given up")
    assert (slot.state, slot.reason) == ("stopped", "paused")
    stage.send("/queue/orders", ["kept"])

    consumer.paused = False
    consumer.save()
    until(lambda: stage.written() == ["kept"], what="what came meanwhile is handled")

    consumer.delete()
    worker.wait_for_line("drains: the consumer was deleted")
    worker.wait_for_line("orders is stopped")
    assert worker.terminate() == 0
    assert "aborted" not in worker.text()


def test_a_handler_that_is_missing_breaks_its_consumer_alone_and_mending_the_row_mends_it(stage: Stage) -> None:
    worker = stage.worker()
    broken, well = stage.consumer("broken", handler="nowhere"), stage.consumer("well")
    slot = stage.wait_for(broken, "broken")[0]
    assert "tests.worker.sample.handlers.nowhere" in slot.reason
    stage.wait_for(well, "running")
    stage.send("/queue/well", ["a"])
    until(lambda: stage.written() == ["a"], what="the other one works")

    broken.handler = "tests.worker.sample.handlers.note"
    broken.save()
    stage.wait_for(broken, "running")
    assert worker.terminate() == 0


def test_a_broker_that_can_not_be_reached_is_said_with_its_reason(stage: Stage) -> None:
    worker = stage.worker()
    stage.broker.stop()
    consumer = stage.consumer("orders")
    slot = stage.wait_for(consumer, "backing off")[0]
    assert f"{stage.broker.host}:{stage.broker.port}" in slot.reason
    stage.broker.start()
    stage.wait_for(consumer, "running")
    assert worker.terminate() == 0


def test_one_instance_runs_once_though_two_workers_are_there_and_is_taken_over_when_its_worker_is_killed(
    stage: Stage,
) -> None:
    workers = [stage.worker(), stage.worker()]
    for worker in workers:
        stage.wait_for_worker(worker)
    consumer = stage.consumer("orders")
    holder = stage.wait_for(consumer, "running")[0].worker
    assert holder is not None
    stage.send("/queue/orders", range(50))
    until(lambda: len(stage.written()) == 50, what="all are handled")
    assert stage.written_by() == {holder.pid: 50}

    killed_at = time.monotonic()
    next(worker for worker in workers if worker.pid == holder.pid).kill()
    until(lambda: stage.slots(consumer)[0].worker_id not in {None, holder.pk}, what="the other one takes over")
    # The lease, a poll, and what two busy cores may add.
    assert time.monotonic() - killed_at < QUICK["LEASE"] + QUICK["POLL_INTERVAL"] + 2
    stage.send("/queue/orders", ["after"])
    until(lambda: "after" in stage.written()[-1], what="it handles messages")


def test_slots_are_shared_between_workers_that_come_one_after_the_other(stage: Stage) -> None:
    consumers = [stage.consumer(f"c{number}") for number in range(4)]
    first = stage.worker()
    for consumer in consumers:
        stage.wait_for(consumer, "running")
    second = stage.worker()

    def shared() -> bool:
        held = Subscription.objects.filter(state="running").values_list("worker__pid", flat=True)
        return Counter(held) == {first.pid: 2, second.pid: 2}

    until(shared, 30, "each has two")


def test_zero_instances_mean_one_slot_in_every_worker(stage: Stage) -> None:
    first, second = stage.worker(), stage.worker()
    consumer = stage.consumer("everywhere", instances=0)
    slots = stage.wait_for(consumer, "running", count=2)
    assert {slot.slot for slot in slots} == {str(slot.worker_id) for slot in slots}
    assert first.terminate() == 0
    until(lambda: [slot.worker_id for slot in stage.slots(consumer)], what="its slot goes with the worker")
    until(lambda: len(stage.slots(consumer)) == 1, what="the row is forgotten")
    assert second.terminate() == 0


def test_dead_letters_are_captured_also_while_their_consumer_is_paused(stage: Stage) -> None:
    worker = stage.worker()
    consumer = stage.consumer("orders", handler="fail", capture=True)
    stage.wait_for(consumer, "running")
    stage.send("/queue/orders", ["a"])
    letter = until(DeadLetter.objects.first, what="it is captured")
    assert (letter.consumer_id, letter.error_type, letter.error_message) == (consumer.pk, "ValueError", "no good: a")
    until(lambda: stage.slots(consumer)[0].failed == 1, what="the slot counts it")

    consumer.paused = True
    consumer.save()
    until(lambda: not stage.slots(consumer)[0].worker_id, what="it is paused")
    stage.send("/queue/DLQ.orders", ["foreign"])
    until(lambda: DeadLetter.objects.count() == 2, what="the foreign one is captured")
    assert stage.slots(consumer, Purpose.CAPTURE)[0].state == "running"
    assert worker.terminate() == 0


def test_sigterm_loses_nothing_and_repeats_nothing(stage: Stage) -> None:
    first = stage.worker()
    consumer = stage.consumer("orders", concurrency=3)
    stage.wait_for(consumer, "running")
    stage.send("/queue/orders", range(1_500))
    until(lambda: len(stage.written()) > 100, what="it is in the middle of it")
    assert first.terminate() == 0
    assert Subscription.objects.get().worker_id is None
    assert Worker.objects.get(pid=first.pid).state == "stopped"
    so_far = len(stage.written())

    second = stage.worker()
    until(lambda: len(stage.written()) >= 1_500, 40, "the next one does the rest")
    assert second.terminate() == 0
    assert sorted(map(int, stage.written())) == list(range(1_500))
    assert so_far < 1_500, "it was over before the signal: the test shows nothing"
    assert sum(ThroughputBucket.objects.filter(width_s=10).values_list("acked", flat=True)) == 1_500


def test_sigkill_loses_nothing_and_repeats_at_most_what_was_prefetched(stage: Stage) -> None:
    first = stage.worker()
    consumer = stage.consumer("orders", prefetch=20)
    stage.wait_for(consumer, "running")
    stage.send("/queue/orders", range(1_500))
    until(lambda: len(stage.written()) > 100, what="it is in the middle of it")
    first.kill()
    second = stage.worker()
    until(lambda: len(set(stage.written())) == 1_500, 40, "the next one does the rest")
    assert second.terminate() == 0
    assert len(stage.written()) <= 1_500 + 20


def test_a_handler_in_the_middle_of_a_message_is_waited_for_at_sigterm(stage: Stage) -> None:
    worker = stage.worker()
    consumer = stage.consumer("orders", handler="held_up", prefetch=1)
    stage.wait_for(consumer, "running")
    stage.send("/queue/orders", ["a", "b"])
    until(lambda: stage.written("begun") == ["a"], what="it is in work")
    worker.signal(signal.SIGTERM)
    worker.wait_for_line("drains")
    until(lambda: Worker.objects.get(pid=worker.pid).state == "draining", what="the worker says so")
    until(lambda: stage.slots(consumer)[0].state == "draining", what="the slot says so")
    stage.open_gate()
    assert worker.wait() == 0
    assert (stage.written("begun"), stage.written()) == (["a"], ["a"])


def test_a_handler_that_takes_too_long_at_sigterm_is_given_up_and_its_message_goes_back(stage: Stage) -> None:
    worker = stage.worker(wait_s=1.0)
    consumer = stage.consumer("orders", handler="held_up")
    stage.wait_for(consumer, "running")
    stage.send("/queue/orders", ["a"])
    until(lambda: stage.written("begun") == ["a"], what="it is in work")
    assert worker.terminate(15) == 0
    assert "did not drain in 1 s" in worker.text()
    stage.open_gate()
    again = stage.worker()
    until(lambda: stage.written() == ["a"], what="it is handled by the next worker")
    assert again.terminate() == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_it_at_once(stage: Stage, number: signal.Signals, status: int) -> None:
    worker = stage.worker()
    consumer = stage.consumer("orders", handler="held_up")
    stage.wait_for(consumer, "running")
    stage.send("/queue/orders", ["a"])
    until(lambda: stage.written("begun") == ["a"], what="it is in work")
    worker.signal(number)
    worker.wait_for_line("once more ends at once")
    worker.signal(number)
    assert worker.wait(5) == status
    assert "for the second time" in worker.text()


def test_sigint_ends_an_idle_worker(stage: Stage) -> None:
    worker = stage.worker()
    stage.wait_for_worker(worker)
    worker.signal(signal.SIGINT)
    assert worker.wait(15) == 0


def test_handlers_use_the_database_as_requests_do(stage: Stage) -> None:
    worker = stage.worker()
    stage.consumer("asking", handler="query", concurrency=4)
    stage.send("/queue/asking", range(40))
    until(lambda: len(stage.written("found-1")) == 40, what="all have asked")
    assert worker.terminate() == 0

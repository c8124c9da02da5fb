"""From rows to the view a plan is made from."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from stompconsole.conf import Settings
from stompconsole.delivery.specs import ConsumerSpec, Purpose, SubscriptionState
from stompconsole.models import Broker, Consumer, Subscription, Worker
from stompconsole.worker.definitions import TRY_AGAIN_S, Definitions, Handlers
from stompconsole.worker.registry import Registry, memory_bytes
from stompconsole.worker.wanted import Broken, CaptureSpec, Definition, View

pytestmark = pytest.mark.django_db


def consumer(name: str = "orders", **fields: Any) -> Consumer:
    broker, _ = Broker.objects.get_or_create(name="b")
    defaults = {"broker": broker, "destination": f"/queue/{name}", "handler": "json.loads"}
    return Consumer.objects.create(name=name, **{**defaults, **fields})


def view() -> View:
    registry = Registry(uuid.uuid4())
    return Definitions(registry, Handlers(["json.*"]), Settings()).view()


def definition() -> Definition:
    return view().definitions[0]


def test_a_row_becomes_a_definition() -> None:
    row = consumer(instances=3, paused=True)
    read = definition()
    assert (read.consumer_id, read.instances, read.paused, read.consume) == (row.pk, 3, True, row.spec())
    assert isinstance(read.capture, CaptureSpec)
    assert read.capture.subscription.destination == "/queue/DLQ.orders"


def test_a_definition_read_twice_is_equal_so_that_nothing_restarts() -> None:
    consumer(broker=Broker.objects.create(name="secret", password="s3cret"))
    assert definition() == definition()


def test_a_handler_that_is_not_allowed_breaks_the_consumer_but_not_its_capture() -> None:
    consumer(handler="os.system")
    read = definition()
    assert isinstance(read.consume, Broken)
    assert "os.system" in read.consume.reason
    assert isinstance(read.capture, CaptureSpec)


def test_a_password_that_no_key_opens_breaks_its_consumers_alone() -> None:
    locked = Broker.objects.create(name="locked", password="s3cret")
    Broker.objects.filter(pk=locked.pk).update(name="locked")
    with_password(locked, "gAAAAABnot-a-token")
    consumer("shut", broker=locked)
    consumer("open")
    shut, fine = view().definitions
    assert isinstance(shut.consume, Broken)
    assert "can't be decrypted" in shut.consume.reason
    assert isinstance(shut.capture, Broken)
    assert isinstance(fine.consume, ConsumerSpec)


def with_password(broker: Broker, token: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE stompconsole_broker SET password = %s WHERE id = %s", [token, broker.pk])


def test_capture_that_is_switched_off_is_no_subscription() -> None:
    consumer(capture=False)
    assert definition().capture is None


def test_a_word_of_another_version_breaks_its_consumer_alone() -> None:
    consumer("odd", codec="xml")
    consumer("fine")
    odd, fine = view().definitions
    assert isinstance(odd.consume, Broken)
    assert "xml" in odd.consume.reason
    assert isinstance(fine.consume, ConsumerSpec)


def test_slots_are_read_as_they_are_by_the_databases_clock() -> None:
    row = consumer()
    holder = worker()
    for slot, lease in (("0", Now() + timedelta(hours=1)), ("1", Now() - timedelta(seconds=1)), ("2", None)):
        made = Subscription.objects.create(consumer=row, slot=slot, worker=holder, state="running", reason=slot)
        Subscription.objects.filter(pk=made.pk).update(lease_until=lease)
    Subscription.objects.create(consumer=row, slot="3", purpose=Purpose.CAPTURE.value)
    rows = view().rows
    assert [(row.key.slot, row.free) for row in rows] == [("0", False), ("1", True), ("2", True), ("3", True)]
    assert (rows[0].holder, rows[0].state, rows[0].reason) == (holder.pk, SubscriptionState.RUNNING, "0")
    assert (rows[3].holder, rows[3].key.purpose) == (None, Purpose.CAPTURE)


def worker(state: str = "running", silent_s: float = 0.0) -> Worker:
    row = Worker.objects.create(hostname="h", pid=1, version="1", state=state, started_at=Now(), heartbeat_at=Now())
    Worker.objects.filter(pk=row.pk).update(heartbeat_at=Now() - timedelta(seconds=silent_s))
    return row


def test_workers_live_that_run_and_were_heard_of_lately() -> None:
    registry = Registry(uuid.uuid4())
    heard = worker()
    worker(state="draining")
    worker(state="stopped")
    worker(silent_s=60)
    assert registry.living(5.0) == {registry.worker_id, heard.pk}


def test_old_workers_are_swept_and_this_one_never() -> None:
    registry = Registry(uuid.uuid4())
    registry.beat(Worker.state.field.default)
    Worker.objects.update(heartbeat_at=Now() - timedelta(days=3))
    worker(silent_s=90_000)
    recent = worker(silent_s=3600)
    registry.purge()
    assert set(Worker.objects.values_list("pk", flat=True)) == {registry.worker_id, recent.pk}


def test_memory_is_told_in_bytes() -> None:
    assert 1_000_000 < memory_bytes() < 10**12


def test_a_handler_that_did_not_resolve_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    tried: list[str] = []
    handlers = Handlers(["json.*"], clock=lambda: now_s[0])
    real = handlers.resolve
    monkeypatch.setattr(handlers, "resolve", lambda path: tried.append(path) or real(path))
    assert "handler json.nothing" in handlers.problem("json.nothing")
    assert handlers.problem("json.nothing")
    assert len(tried) == 1
    now_s[0] = TRY_AGAIN_S
    assert handlers.problem("json.nothing")
    assert len(tried) == 2
    assert handlers.problem("json.loads") == ""

"""Handlers that are tried on dead letters, each with an effect of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from django.db import IntegrityError, connection, transaction

from stompconsole import Payload, Reject, Retry, When, build_publisher, publish
from stompconsole.models import Broker, Consumer

logger = logging.getLogger("team")
TOTALS = "/queue/totals"


def passes(payload: Payload) -> None:
    print("priced", payload.body)
    logger.warning("a line of the log")
    print("to stderr", file=sys.stderr)


def shows(payload: Payload) -> None:
    print(sorted(payload.headers.items()))


def fails(payload: Payload) -> None:
    print("before")
    raise KeyError("sku")


def fails_otherwise(payload: Payload) -> None:
    raise ValueError("no such currency")


def fails_by_body(payload: Payload) -> None:
    if payload.body["fails"]:
        raise KeyError("sku")


def hangs(payload: Payload) -> None:
    print("begins to hang")
    # Longer than any limit: only an end from without ends it.
    time.sleep(600)


def hangs_with_a_child(payload: Payload) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
        print("child", child.pid)
        child.wait()


def leaves_a_child(payload: Payload) -> None:
    """It holds the pipes of the trial, and outlives the handler."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("child", child.pid)


def hangs_in_another_thread(payload: Payload) -> None:
    threading.Thread(target=time.sleep, args=(600,)).start()


def writes(payload: Payload) -> None:
    Broker.objects.create(name="written")
    print("sees", Broker.objects.filter(name="written").count())


def writes_in_bulk(payload: Payload) -> None:
    """The first thing it does is a block without a savepoint of its own."""
    Broker.objects.bulk_create([Broker(name="written")])
    Broker.objects.create(name="written too")
    Broker.objects.filter(name="written too").delete()


def writes_durably(payload: Payload) -> None:
    with transaction.atomic(durable=True):
        Broker.objects.create(name="written")


def writes_in_a_thread(payload: Payload) -> None:
    failures: list[BaseException] = []

    def write() -> None:
        try:
            Broker.objects.create(name="written")
            connection.close()
        except BaseException as error:  # noqa: BLE001 - raised below, where the trial sees it
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    for failure in failures:
        raise failure


async def writes_async(payload: Payload) -> None:
    await asyncio.sleep(0)
    await Broker.objects.acreate(name="written")
    print("sees", await Broker.objects.filter(name="written").acount())


def breaks_a_constraint(payload: Payload) -> None:
    """There is no such broker; the database says so at the commit."""
    Consumer.objects.create(name="broken", broker_id=2**40, destination="/queue/broken", handler="nobody")


def swallows_an_error(payload: Payload) -> None:
    with contextlib.suppress(IntegrityError):
        Broker.objects.bulk_create([Broker(name=name) for name in ("twice", "twice")])
    Broker.objects.count()


def commits(payload: Payload) -> None:
    Broker.objects.create(name="written")
    with connection.cursor() as cursor:
        cursor.execute("COMMIT")


def commits_and_hides_it(payload: Payload) -> None:
    try:
        commits(payload)
    except Exception:  # noqa: BLE001 - what a careless handler does
        print("swallowed")


def commits_by_django(payload: Payload) -> None:
    Broker.objects.count()
    transaction.commit()


def waits_for_commit(payload: Payload) -> None:
    transaction.on_commit(lambda: print("committed"))
    Broker.objects.count()
    transaction.on_commit(lambda: print("committed"))


def publishes(payload: Payload) -> None:
    publish(TOTALS, {"n": 1})
    publish(TOTALS, {"n": 2}, when=When.AT_ONCE)
    publisher = build_publisher("tried")
    with publisher.auto_open_close_connection(), publisher.do_inside_transaction():
        publisher.send({"n": 3}, TOTALS)
    with transaction.atomic():
        publish(TOTALS, {"n": 4})
        transaction.set_rollback(True)
    print("the fourth was rolled back by the handler itself")


def exits(payload: Payload) -> None:
    sys.exit(3)


def exits_hard(payload: Payload) -> None:
    print("last words")
    os._exit(7)


def is_killed(payload: Payload) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def prints_a_lot(payload: Payload) -> None:
    print("the start")
    for _ in range(2_000):
        print("x" * 1_000)
    print("the end")


def nacks(payload: Payload) -> None:
    payload.nack()
    payload.ack()


def acks_and_raises(payload: Payload) -> None:
    payload.ack()
    raise KeyError("late")


def retries(payload: Payload) -> None:
    raise Retry("not yet", after=5)


def rejects(payload: Payload) -> None:
    raise Reject("not ours")


def touches(payload: Any) -> None:
    """Leaves something outside of the database, and waits until it is told to end."""
    Path(payload.body["touch"]).touch()
    while not Path(payload.body["gate"]).exists():
        time.sleep(0.02)

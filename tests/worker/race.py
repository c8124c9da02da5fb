"""A process that races for slots, started several times at once: prints the slots it has won.

python -m tests.worker.race prepare <slots>
python -m tests.worker.race run <slots> <moment to begin, seconds since 1970>
"""

from __future__ import annotations

import sys
import threading
import time

import django

django.setup()

from django.utils import timezone  # noqa: E402

from stompconsole.delivery.specs import Purpose  # noqa: E402
from stompconsole.models import Broker, Consumer, Worker  # noqa: E402
from stompconsole.worker.leases import Leases  # noqa: E402
from stompconsole.worker.wanted import SlotKey  # noqa: E402

THREADS = 3


def keys(slots: int) -> list[SlotKey]:
    consumer_id = Consumer.objects.values_list("pk", flat=True).get()
    return [SlotKey(consumer_id=consumer_id, purpose=Purpose.CONSUME, slot=str(number)) for number in range(slots)]


def leases() -> Leases:
    now = timezone.now()
    worker = Worker.objects.create(hostname="h", pid=1, version="1", started_at=now, heartbeat_at=now)
    return Leases(worker.pk, 60.0)


def prepare(slots: int) -> None:
    broker = Broker.objects.create(name="b")
    Consumer.objects.create(name="orders", broker=broker, destination="/queue/orders", handler="h")
    leases().ensure(keys(slots))


def run(slots: int, begin_at: float) -> None:
    wins: list[str] = []
    threads = [
        threading.Thread(target=_race, args=(leases(), keys(slots), begin_at, wins), daemon=True)
        for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("won", *wins)


def _race(rival: Leases, wanted: list[SlotKey], begin_at: float, wins: list[str]) -> None:
    while time.time() < begin_at:
        time.sleep(0.001)
    wins.extend(key.slot for key in wanted if rival.acquire(key))


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(int(sys.argv[2]))
    else:
        run(int(sys.argv[2]), float(sys.argv[3]))

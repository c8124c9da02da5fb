"""Replay dead letters that are rows, at unlimited rate, a receipt for each; one database per process.

``seconds`` of ours go from the engine's start to the end of the replay: every receipt is written down. Those of the
raw socket go from CONNECT to the last receipt: the same frames, made before, many in flight; what the broker can give.
Between them is the least that a replay out of rows takes: see ``rows_to_socket``.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench import dead
from bench.databases import DATABASES
from bench.django_setup import set_up
from bench.pipelined import Pipelined
from bench.rows_to_socket import RowsToSocket
from bench.workload import LIMIT_S, WINDOW, Workload, run
from stompconsole.brokers import Dialect, dialect_for
from stompconsole.delivery import envelope

STORED_AT_ONCE = 1_000


def from_rows(work: Workload) -> float:
    """The replay engine: lease, portions, sender, receipts, rows."""
    set_up()
    from stompconsole.models import Replay, ReplayState

    replay_id = _planned(work)
    seconds = asyncio.run(_carried_out(replay_id))
    replay = Replay.objects.get(pk=replay_id)
    if replay.state != ReplayState.DONE or replay.items.filter(state="sent").count() != work.count:
        raise SystemExit(f"the replay is {replay.state}: {replay.note}")
    return seconds


def _planned(work: Workload) -> int:
    """The rows, captured as they always are, and a replay of them all."""
    from django.utils import timezone

    from stompconsole.deadletters import freezing, sealing, storing
    from stompconsole.deadletters.captured import captured
    from stompconsole.deadletters.selection import Filters, replay_matching

    consumer = dead.consumer(work)
    redactor = sealing.redactor_of(consumer)
    for start in range(0, work.count, STORED_AT_ONCE):
        numbers = range(start, min(work.count, start + STORED_AT_ONCE))
        headers = [dead.headers(number, work.target) for number in numbers]
        now = timezone.now()
        messages = [captured(given, dead.BODY, work.queue, Dialect(), now, redactor=redactor) for given in headers]
        storing.store(messages, consumer.pk, consumer.name)
    # Frozen here and now: what is timed is the sending.
    freezing.AT_ONCE = work.count
    planned = replay_matching(Filters(), as_of=timezone.now(), expected_count=work.count, actor=None)
    if planned.replay is None:
        raise SystemExit(planned.refusal)
    return planned.replay.pk


async def _carried_out(replay_id: int) -> float:
    from django.db import connection
    from django.utils import timezone

    from stompconsole.deadletters.replaying import ReplayEngine
    from stompconsole.delivery.senders import Senders
    from stompconsole.models import Replay, ReplayState, Worker

    now = timezone.now()
    worker = await Worker.objects.acreate(hostname="here", pid=1, version="1", started_at=now, heartbeat_at=now)
    senders, stop = Senders(), asyncio.Event()
    engine = ReplayEngine(worker.pk, "here:1", senders)
    started = time.perf_counter()
    running = asyncio.create_task(engine.run(stop))
    # From a thread of its own: the engine's connection is not to be disturbed.
    with ThreadPoolExecutor(1) as asking:
        rows = Replay.objects.filter(pk=replay_id, state=ReplayState.DONE)
        while not await asyncio.get_running_loop().run_in_executor(asking, rows.exists):
            if time.perf_counter() - started > LIMIT_S:
                raise SystemExit("the replay did not end")
            await asyncio.sleep(0.05)
        asking.submit(connection.close)
    seconds = time.perf_counter() - started
    stop.set()
    await running
    await asyncio.to_thread(senders.close, 5.0)
    return seconds


def raw_socket(work: Workload) -> float:
    """A socket that keeps ``WINDOW`` receipts awaited."""
    frames = _frames(work, _server_of(work))
    started = time.perf_counter()
    sock = Pipelined(work)
    written = confirmed = 0
    while confirmed < work.count:
        if (allowed := min(work.count, confirmed + WINDOW)) > written:
            sock.send(frames[written:allowed])
            written = allowed
        confirmed += sock.confirmed()
    seconds = time.perf_counter() - started
    sock.close()
    return seconds


def rows_to_socket(work: Workload) -> float:
    """What a replay out of rows can't do without, and nothing else."""
    set_up()
    from stompconsole.models import ReplayItem

    replay_id = _planned(work)
    dialect = dialect_for("auto", _server_of(work))
    own = {**dialect.send_headers(work.target), **dialect.route(work.target)}
    seconds = RowsToSocket(work, replay_id, own, dialect.duplicate_id_header).seconds()
    if ReplayItem.objects.filter(state="sent", dead_letter__state="sent").count() != work.count:
        raise SystemExit("not all are written down")
    return seconds


def _server_of(work: Workload) -> str:
    session = work.connect()
    session.disconnect(5.0)
    return session.server


def _frames(work: Workload, server: str) -> list[bytes]:
    dialect = dialect_for("auto", server)
    return [_frame(work, dialect.send_headers(work.target), dialect, number) for number in range(work.count)]


def _frame(work: Workload, own: dict[str, str], dialect: Dialect, number: int) -> bytes:
    replayed = envelope.replay_headers(
        dead.headers(number, work.target), dialect, dead_letter_id=str(uuid.uuid4()), replay_id="1"
    )
    given = {**replayed, **own, **dialect.route(work.target), "receipt": str(number)}
    if dialect.duplicate_id_header:
        given[dialect.duplicate_id_header] = f"{number}-{uuid.uuid4()}"
    lines = "".join(f"{name}:{value}\n" for name, value in given.items())
    return f"SEND\n{lines}content-length:{len(dead.BODY)}\n\n".encode() + dead.BODY + b"\0"


VARIANTS: dict[str, Callable[[Workload], float]] = {
    **dict.fromkeys(DATABASES, from_rows),
    "rows-to-socket": rows_to_socket,
    "raw-socket": raw_socket,
}

if __name__ == "__main__":
    run(VARIANTS, sys.argv[1:])

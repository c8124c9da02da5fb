"""The least that a replay out of rows takes: read them, send them, write down that they were sent. Nothing else.

No lease, no window that grows, no origin, edit or redaction, no tally, no word on what is in doubt after a crash: rows
of PostgreSQL in portions of a thousand to a bare socket and back, by three threads and three statements. What this
can't reach beside a raw socket on the same processors, no engine can.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
import psycopg

from bench.pipelined import Pipelined
from bench.workload import LIMIT_S, WINDOW, Workload

PORTION = 1_000

_READ = """
SELECT item.id, letter.id::text, letter.headers::text, letter.body
FROM stompconsole_replayitem item JOIN stompconsole_deadletter letter ON letter.id = item.dead_letter_id
WHERE item.replay_id = %s AND item.state = 'waiting' AND item.id > %s ORDER BY item.id LIMIT %s
"""
_ITEMS_SENT = """
UPDATE stompconsole_replayitem SET state = 'sent', active = false, sent_at = now()
WHERE replay_id = %s AND id BETWEEN %s AND %s
"""
_LETTERS_SENT = """
UPDATE stompconsole_deadletter SET state = 'sent', state_at = now(), replays = replays + 1 WHERE id IN
(SELECT dead_letter_id FROM stompconsole_replayitem WHERE replay_id = %s AND id BETWEEN %s AND %s)
"""
_ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", ":": "\\c", "\r": "\\r"})

Portion = tuple[int, int, list[bytes]]
"""First and last item, and their frames."""


class RowsToSocket:
    """One replay of one queue."""

    def __init__(self, work: Workload, replay_id: int, own: dict[str, str], duplicate_id: str) -> None:
        self._work = work
        self._replay_id = replay_id
        self._own = "".join(f"{name}:{value}\n" for name, value in own.items())
        self._duplicate_id = f"{duplicate_id}:" if duplicate_id else ""
        self._read: queue.Queue[Portion | None] = queue.Queue(4)
        self._sent: queue.Queue[Portion | None] = queue.Queue()

    def seconds(self) -> float:
        """From CONNECT to the last commit."""
        started = time.perf_counter()
        threads = [threading.Thread(target=self._on_its_own, args=(act,)) for act in (self._reads, self._marks)]
        for thread in threads:
            thread.start()
        sock = Pipelined(self._work)
        self._sends(sock)
        self._sent.put(None)
        for thread in threads:
            thread.join(LIMIT_S)
        seconds = time.perf_counter() - started
        sock.close()
        return seconds

    def _sends(self, sock: Pipelined) -> None:
        flying: deque[Portion] = deque()
        confirmed, more = 0, True
        while more or flying:
            while more and sum(len(frames) for _, _, frames in flying) <= WINDOW:
                portion = self._read.get(timeout=LIMIT_S)
                if portion is None:
                    more = False
                    break
                sock.send(portion[2])
                flying.append(portion)
            confirmed += sock.confirmed() if flying else 0
            while flying and confirmed >= len(flying[0][2]):
                confirmed -= len(flying[0][2])
                self._sent.put(flying.popleft())

    def _on_its_own(self, act: Callable[[psycopg.Connection[Any]], None]) -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as session:
            act(session)

    def _reads(self, session: psycopg.Connection[Any]) -> None:
        after = 0
        while rows := session.execute(_READ, (self._replay_id, after, PORTION), binary=True).fetchall():
            after = rows[-1][0]
            self._read.put((rows[0][0], after, [self._frame(*row) for row in rows]))
        self._read.put(None)

    def _frame(self, item: int, letter: str, headers: str, body: bytes) -> bytes:
        team = {name: value for name, value in orjson.loads(headers).items() if not name.startswith("stompconsole-")}
        lines = "".join(f"{name}:{value.translate(_ESCAPED)}\n" for name, value in team.items())
        duplicate_id = f"{self._duplicate_id}{letter}\n" if self._duplicate_id else ""
        own = f"stompconsole-dead-letter-id:{letter}\nstompconsole-replay-id:{self._replay_id}\n{duplicate_id}"
        return f"SEND\n{lines}{self._own}{own}receipt:{item}\ncontent-length:{len(body)}\n\n".encode() + body + b"\0"

    def _marks(self, session: psycopg.Connection[Any]) -> None:
        while (portion := self._sent.get(timeout=LIMIT_S)) is not None:
            with session.transaction():
                for statement in (_ITEMS_SENT, _LETTERS_SENT):
                    session.execute(statement, (self._replay_id, *portion[:2]))

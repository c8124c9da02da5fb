"""One task per process that renders what is looked at and fans it out to all open browsers.

Owns the beat and the queues. A topic is rendered once a tick, however many look at it; what is sent is only what
changed. A slow client skips ticks and then gets the whole. The task ends with the last client. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from stompconsole.dashboard.stream.fragments import Fragments, as_event, changed

logger = logging.getLogger(__name__)

QUEUE_SIZE = 4
"""Ticks a client may lag behind before it skips some."""

T = TypeVar("T", bound=Hashable)


class Renderer(Protocol[T]):
    """What renders; called from one thread of its own, which also closes it."""

    def render(self, topics: Iterable[T]) -> Mapping[T, Fragments]:
        """All of ``topics``, each once."""

    def close(self) -> None:
        """Nobody looks any more: give back what is held."""


class Client:
    """One open browser. ``events`` ends only by being cancelled."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_SIZE)
        self._behind = True

    def offer(self, whole: bytes, difference: bytes) -> None:
        """Hand over a tick; dropped if the client has not taken the ones before it."""
        try:
            self._queue.put_nowait(whole if self._behind else difference)
            self._behind = False
        except asyncio.QueueFull:
            self._behind = True

    async def events(self) -> AsyncIterator[bytes]:
        """The ticks as they come."""
        while True:
            yield await self._queue.get()


class _Audience:
    """All who look at one topic, and what they saw last."""

    def __init__(self) -> None:
        self.clients: set[Client] = set()
        self.seen: Fragments = {}

    def tell(self, fragments: Fragments) -> None:
        whole, difference = as_event(fragments), as_event(changed(self.seen, fragments))
        self.seen = fragments
        for client in self.clients:
            client.offer(whole, difference)


class Broadcaster(Generic[T]):
    """Renders every ``interval_s()`` seconds with a renderer of its own, made when the first client comes."""

    def __init__(self, renderer: Callable[[], Renderer[T]], interval_s: Callable[[], float]) -> None:
        self._make_renderer = renderer
        self._interval_s = interval_s
        self._audiences: dict[T, _Audience] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether anybody looks."""
        return self._task is not None and not self._task.done()

    @contextmanager
    def client(self, topic: T) -> Iterator[Client]:
        """A client of ``topic`` for as long as the block lasts."""
        client = Client()
        audience = self._audiences.setdefault(topic, _Audience())
        audience.clients.add(client)
        if not self.running:
            self._task = asyncio.create_task(self._run(), name="stompconsole-stream")
        try:
            yield client
        finally:
            self._leave(topic, audience, client)

    def _leave(self, topic: T, audience: _Audience, client: Client) -> None:
        audience.clients.discard(client)
        if not audience.clients:
            self._audiences.pop(topic, None)
        if not self._audiences and self._task is not None:
            # Forgotten at once: who comes before it has ended gets a task of its own.
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        renderer = self._make_renderer()
        with_thread = ThreadPoolExecutor(1, thread_name_prefix="stompconsole-stream")
        try:
            while True:
                due = loop.time() + self._interval_s()
                await self._tick(renderer, with_thread)
                await asyncio.sleep(max(0.0, due - loop.time()))
        finally:
            # In the thread that opened it: a database connection belongs to its thread.
            with_thread.submit(renderer.close)
            with_thread.shutdown(wait=False)

    async def _tick(self, renderer: Renderer[T], thread: ThreadPoolExecutor) -> None:
        topics = list(self._audiences)
        try:
            rendered = await asyncio.get_running_loop().run_in_executor(thread, renderer.render, topics)
        except Exception:
            # A database that is away must not end the stream: pages say "stale" by themselves until it is back.
            logger.warning("the stream could not be rendered", exc_info=True)
            return
        for topic, fragments in rendered.items():
            if topic in self._audiences:
                self._audiences[topic].tell(fragments)

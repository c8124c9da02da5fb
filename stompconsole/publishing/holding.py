"""The messages of a ``do_inside_transaction`` block: held until it ends, dropped if it raises.

Owns which block is open for a publisher here: by a context variable, so that threads do not get into each other's
blocks, while ``asyncio.to_thread`` and ``sync_to_async`` calls of a block stay in it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from stompconsole.errors import ConfigurationError
from stompconsole.publishing.messages import Message


class Block:
    """What was sent so far inside one block of ``owner``."""

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self._messages: list[Message] = []
        self._ended = False
        self._lock = threading.Lock()

    def hold(self, *messages: Message) -> None:
        """Keep them. Raises ConfigurationError when the block has ended: they would be lost without a word."""
        with self._lock:
            if self._ended:
                raise ConfigurationError(
                    "this send() belongs to a do_inside_transaction() block that has ended: wait for the tasks and"
                    " threads of a block before it ends"
                )
            self._messages += messages

    def end(self) -> list[Message]:
        """What was kept; nothing can be added any more."""
        with self._lock:
            self._ended = True
            return self._messages


_open: ContextVar[tuple[Block, ...]] = ContextVar("stompconsole_publisher_blocks", default=())


def open_block(owner: object) -> Block | None:
    """The innermost block of ``owner`` that is open here."""
    return next((block for block in reversed(_open.get()) if block.owner is owner), None)


@contextmanager
def holding(owner: object) -> Iterator[Block]:
    """A block of ``owner`` inside those that are open. Its messages are the caller's to take out."""
    enclosing, block = _open.get(), Block(owner)
    _open.set((*enclosing, block))
    try:
        yield block
    finally:
        # Not by a token: a generator that is finished elsewhere has no use for one.
        _open.set(enclosing)
        block.end()

"""The sending sessions of this process: one for each broker, opened when first needed, shared by all threads, not
inherited by a fork, closed at exit."""

from __future__ import annotations

import atexit
import os

from stompconsole.delivery.senders import Senders

CLOSE_TIMEOUT_S = 2.0


class _ProcessSenders:
    """The senders of this process. A fork starts without: two processes must not write on one connection."""

    def __init__(self) -> None:
        self._forget()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def get(self) -> Senders:
        return self._senders

    def close(self) -> None:
        self._senders.close(CLOSE_TIMEOUT_S)

    def _forget(self) -> None:
        # The lock of the parent's senders may be held by one of its threads, for ever: they are left alone.
        self._senders = Senders()


_of_this_process = _ProcessSenders()


def process_senders() -> Senders:
    """The sending sessions of this process, one for each broker: whatever is published shares them."""
    return _of_this_process.get()

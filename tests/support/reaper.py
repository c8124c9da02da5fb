"""Ends the process groups of a test run when the run itself is gone, however it ended.

A process of its own, fed through its stdin: ``+ <pgid>`` and ``- <pgid>`` lines. When stdin closes, which
SIGKILL can't prevent either, it kills the groups that are left. A process that asks the kernel for
a signal at its parent's death would get it when the *thread* that started it ends.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Read lines until stdin closes, then kill what was not taken back."""
    # Ctrl-C goes to the whole terminal: the run ends first, then this.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        sign, _, number_text = line.partition(" ")
        if sign == "+":
            groups.add(int(number_text))
        else:
            groups.discard(int(number_text))
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()

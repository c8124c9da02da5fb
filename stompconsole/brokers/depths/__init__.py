"""How much waits in a queue, as each kind of broker tells it: over HTTP, or over STOMP itself. No Django.

A dialect says which of these ways its broker has. Each reads for itself; who asks sets the limits around it.
"""

from __future__ import annotations

from stompconsole.brokers.depths.depth import Depth, Management, OverHttp, OverStomp, unknown

__all__ = ["Depth", "Management", "OverHttp", "OverStomp", "unknown"]

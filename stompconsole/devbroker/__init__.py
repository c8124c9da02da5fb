"""The development broker: a small STOMP 1.1 and 1.2 broker in memory, for the demo and for tests.

NOT FOR PRODUCTION. It keeps messages in memory and loses them when its process ends, it knows no access rights, and
it listens on loopback addresses only and refuses any other. Run it with ``python -m stompconsole.devbroker``.

Owns no name of the project but its own; imports neither Django nor any third-party package.

    frames, parser      bytes to frames and back
    messages, queues    messages, their order and who holds them
    store               destinations by name, limits, what NACK means
    transactions        what waits for COMMIT
    handshake, session  the STOMP conversation of one client
    connection          its socket: batches, back-pressure, heart-beats
    faults, transcripts what tests script and look at
    broker              the server that holds all of it
"""

from __future__ import annotations

from stompconsole.devbroker.broker import DevBroker
from stompconsole.devbroker.options import BrokerOptions, FrameLimits, NackPolicy

__all__ = ["BrokerOptions", "DevBroker", "FrameLimits", "NackPolicy"]

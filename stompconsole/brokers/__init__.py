"""How kinds of broker deviate from plain STOMP 1.2: one dialect each, as declared capabilities. No Django.

The files of this folder are the list of brokers that are known.
"""

from __future__ import annotations

from stompconsole.brokers.dialect import BrokerKind, Dialect, NackMeans
from stompconsole.brokers.known import dialect_for
from stompconsole.brokers.subscribing import Otherwise, Subscribe, Wanted

__all__ = ["BrokerKind", "Dialect", "NackMeans", "Otherwise", "Subscribe", "Wanted", "dialect_for"]

"""STOMP and nothing else: frames, sessions, and the only place that imports stomp.py. No Django."""

from __future__ import annotations

from stompconsole.transport.stomp_session import StompSession, connect

__all__ = ["StompSession", "connect"]

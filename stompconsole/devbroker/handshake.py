"""How a CONNECT is answered: version, login, heart-beats (STOMP 1.2, Connecting).

Owns the rules; values in, a value out. Refuses with ``Refused``, which ends the connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stompconsole.devbroker.frames import Frame, MalformedFrame, Version, unescape
from stompconsole.devbroker.options import BrokerOptions
from stompconsole.devbroker.refusals import AfterError, Refused

MIN_HEARTBEAT_MS = 20
"""The shortest interval agreed to: below it timers are no longer true."""

_HEARTBEAT = re.compile(r"(\d{1,9}),(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What was agreed. ``beat_s``: how often we are to be heard; ``expect_s``: how often the client; 0 for never."""

    version: Version
    beat_s: float
    expect_s: float

    @property
    def heartbeat_header(self) -> str:
        """The ``heart-beat`` of CONNECTED."""
        return f"{round(self.beat_s * 1000)},{round(self.expect_s * 1000)}"


def agree(connect: Frame, options: BrokerOptions) -> Agreement:
    """The agreement with a client, or Refused."""
    version = _version(connect)
    _check_login(connect, options)
    client_sends_ms, client_wants_ms = _heartbeat(connect)
    return Agreement(version=version, beat_s=_interval_s(client_wants_ms), expect_s=_interval_s(client_sends_ms))


def _version(connect: Frame) -> Version:
    # No accept-version means STOMP 1.0 (STOMP 1.2, Protocol Negotiation).
    accepted = [version.strip() for version in connect.headers.get("accept-version", "1.0").split(",")]
    for version in Version:
        if version in accepted:
            return version
    spoken = ",".join(sorted(Version))
    raise Refused(
        f"STOMP {', '.join(accepted)[:80]} is not spoken here, only {spoken}", AfterError.CLOSE, {"version": spoken}
    )


def _check_login(connect: Frame, options: BrokerOptions) -> None:
    if not options.user:
        return
    user, password = connect.headers.get("login", ""), connect.headers.get("passcode", "")
    if options.user not in _readings(user) or options.password not in _readings(password):
        raise Refused(f"user name {user[:80]!r} or password is wrong", AfterError.CLOSE)


def _readings(value: str) -> set[str]:
    # CONNECT is not escaped, yet stomp.py escapes it; ActiveMQ and RabbitMQ let such clients in.
    try:
        return {value, unescape(value, Version.V12)}
    except MalformedFrame:
        return {value}


def _heartbeat(connect: Frame) -> tuple[int, int]:
    text = connect.headers.get("heart-beat", "0,0")
    match = _HEARTBEAT.fullmatch(text.replace(" ", ""))
    if match is None:
        raise Refused(
            f"heart-beat is {text[:40]!r}: it must be two numbers of milliseconds, as in 1000,1000", AfterError.CLOSE
        )
    return int(match[1]), int(match[2])


def _interval_s(milliseconds: int) -> float:
    return max(milliseconds, MIN_HEARTBEAT_MS) / 1000 if milliseconds else 0.0

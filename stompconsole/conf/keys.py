"""The keys of ``STOMPCONSOLE``: each with its default and how its value is read."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field

from stompconsole.conf import parsing
from stompconsole.conf.parsing import DAY_S
from stompconsole.conf.reading import Setting
from stompconsole.conf.stomp import DEFAULT_GRACEFUL_WAIT_S, StompSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``STOMPCONSOLE``, field by key in lower case; ``_s`` in seconds. ``stomp`` is None without STOMP_SERVER_HOST."""

    handlers: tuple[str, ...] = ()
    poll_interval_s: float = 1.0
    lease_s: float = 10.0
    heartbeat_s: float = 1.0
    stale_after_s: float = 5.0
    graceful_wait_s: float = DEFAULT_GRACEFUL_WAIT_S
    """STOMP_GRACEFUL_WAIT_SECONDS: it holds for a whole process, with any broker."""
    secret_keys: tuple[str, ...] = field(default=(), repr=False)
    tls_verify: bool = True
    discard_after_s: float = 7 * DAY_S
    throughput_keep_s: tuple[float, float, float] = (DAY_S / 4, 3 * DAY_S, 90 * DAY_S)
    """How long buckets of 10 s, 1 min and 1 h are kept."""
    max_body_shown: int = 256 * 1024
    search_text_bytes: int = 4096
    metrics_token: str = field(default="", repr=False)
    stream_interval_s: float = 1.0
    redact: tuple[str, ...] = ()
    store_bodies: bool = True
    transacted_replays: bool = True
    depths_every_s: float = 10.0
    sample_handled: bool = True
    release: str = ""
    try_handlers: bool = False
    try_limit_s: float = 10.0
    stomp: StompSettings | None = None


SETTINGS = (
    Setting("HANDLERS", "handlers", parsing.patterns),
    Setting("POLL_INTERVAL", "poll_interval_s", parsing.seconds),
    Setting("LEASE", "lease_s", parsing.seconds),
    Setting("HEARTBEAT", "heartbeat_s", parsing.seconds),
    Setting("STALE_AFTER", "stale_after_s", parsing.seconds),
    Setting("SECRET_KEYS", "secret_keys", parsing.fernet_keys, secret=True),
    Setting("TLS_VERIFY", "tls_verify", parsing.boolean),
    Setting("DISCARD_AFTER", "discard_after_s", parsing.seconds),
    Setting("THROUGHPUT_KEEP", "throughput_keep_s", parsing.three_spans),
    Setting("MAX_BODY_SHOWN", "max_body_shown", parsing.whole(1, 2**31)),
    Setting("SEARCH_TEXT_BYTES", "search_text_bytes", parsing.whole(0, 2**20)),
    Setting("METRICS_TOKEN", "metrics_token", parsing.text, secret=True),
    Setting("STREAM_INTERVAL", "stream_interval_s", parsing.seconds),
    Setting("REDACT", "redact", parsing.redaction),
    Setting("STORE_BODIES", "store_bodies", parsing.boolean),
    Setting("TRANSACTED_REPLAYS", "transacted_replays", parsing.boolean),
    Setting("DEPTHS_EVERY", "depths_every_s", parsing.pause),
    Setting("SAMPLE_HANDLED", "sample_handled", parsing.boolean),
    Setting("RELEASE", "release", parsing.label),
    Setting("TRY_HANDLERS", "try_handlers", parsing.boolean),
    Setting("TRY_SECONDS", "try_limit_s", parsing.limit),
)

NAMES = tuple(setting.name for setting in SETTINGS)


def unknown(key: str) -> str:
    """What to say about a key that there is not."""
    close = difflib.get_close_matches(key, NAMES, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"STOMPCONSOLE has no key {key!r}.{meant} Allowed are {', '.join(NAMES)}."


def clashes(settings: Settings) -> Iterator[str]:
    """What can't work together, a sentence each."""
    if settings.lease_s < 2 * settings.heartbeat_s:
        yield (
            f'STOMPCONSOLE["LEASE"] is {settings.lease_s:g}; it must be at least twice HEARTBEAT'
            f" ({settings.heartbeat_s:g}), or a lease runs out before it is renewed."
        )
    if settings.stale_after_s <= settings.heartbeat_s:
        yield (
            f'STOMPCONSOLE["STALE_AFTER"] is {settings.stale_after_s:g}; it must be more than HEARTBEAT'
            f" ({settings.heartbeat_s:g}), or every worker looks stale."
        )

"""The settings of a Django project that concern us, as one frozen value.

Owns ``STOMPCONSOLE`` (a dict) and the ``STOMP_*`` settings that django-stomp had: same names, meanings and
defaults. They are read on first use, not at import, and again after ``setting_changed``. Refuses unknown keys
and values that can't work: ``ConfigurationError`` names the setting, the value and what is allowed.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from stompconsole.conf import parsing
from stompconsole.conf.parsing import DAY_S, Parser
from stompconsole.errors import ConfigurationError

DEFAULT_PORT = 61_613


@dataclass(frozen=True, slots=True, kw_only=True)
class StompSettings:
    """The ``STOMP_*`` settings of django-stomp. ``_ms`` in milliseconds, ``_s`` in seconds; empty text is unset."""

    host: str
    port: int = DEFAULT_PORT
    standby_host: str = ""
    standby_port: int | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    vhost: str = ""
    subscription_id: str = ""
    outgoing_heartbeat_ms: int = 10_000
    incoming_heartbeat_ms: int = 10_000
    use_ssl: bool = False
    key_file: str = ""
    cert_file: str = ""
    ca_certs: str = ""
    ssl_password: str = field(default="", repr=False)
    wait_to_connect_s: float = 10.0
    durable_topic_subscription: bool = False
    listener_client_id: str = ""
    correlation_id_required: bool = True
    process_on_background: bool = True
    process_workers: int | None = None
    default_exclusive_queue: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``STOMPCONSOLE``, field by key in lower case; ``_s`` in seconds. ``stomp`` is None without STOMP_SERVER_HOST."""

    handlers: tuple[str, ...] = ()
    poll_interval_s: float = 1.0
    lease_s: float = 10.0
    heartbeat_s: float = 1.0
    stale_after_s: float = 5.0
    graceful_wait_s: float = 30.0
    secret_keys: tuple[str, ...] = field(default=(), repr=False)
    discard_after_s: float = 7 * DAY_S
    throughput_keep_s: tuple[float, float, float] = (DAY_S / 4, 3 * DAY_S, 90 * DAY_S)
    """How long buckets of 10 s, 1 min and 1 h are kept."""
    max_body_shown: int = 256 * 1024
    search_text_bytes: int = 4096
    metrics_token: str = field(default="", repr=False)
    stream_interval_s: float = 1.0
    stomp: StompSettings | None = None


_PORT = parsing.whole(1, 65_535)
_MILLISECONDS = parsing.or_unset(parsing.whole(0, 3_600_000))


def _heartbeat(value: Any) -> Any:
    # As django-stomp had it: None switches heart-beats off, it does not mean the default.
    return 0 if value is None else _MILLISECONDS(value)


_OURS: Mapping[str, Parser] = {
    "HANDLERS": parsing.patterns,
    "POLL_INTERVAL": parsing.seconds,
    "LEASE": parsing.seconds,
    "HEARTBEAT": parsing.seconds,
    "STALE_AFTER": parsing.seconds,
    "SECRET_KEYS": parsing.fernet_keys,
    "DISCARD_AFTER": parsing.seconds,
    "THROUGHPUT_KEEP": parsing.three_spans,
    "MAX_BODY_SHOWN": parsing.whole(1, 2**31),
    "SEARCH_TEXT_BYTES": parsing.whole(0, 2**20),
    "METRICS_TOKEN": parsing.text,
    "STREAM_INTERVAL": parsing.seconds,
}
_WITHOUT_UNIT = {"HANDLERS", "SECRET_KEYS", "MAX_BODY_SHOWN", "SEARCH_TEXT_BYTES", "METRICS_TOKEN"}

_STOMP: Mapping[str, tuple[str, Parser]] = {
    "STOMP_SERVER_HOST": ("host", parsing.text),
    "STOMP_SERVER_PORT": ("port", parsing.or_unset(_PORT)),
    "STOMP_SERVER_STANDBY_HOST": ("standby_host", parsing.text),
    "STOMP_SERVER_STANDBY_PORT": ("standby_port", parsing.or_unset(_PORT)),
    "STOMP_SERVER_USER": ("user", parsing.text),
    "STOMP_SERVER_PASSWORD": ("password", parsing.text),
    "STOMP_SERVER_VHOST": ("vhost", parsing.text),
    "STOMP_SUBSCRIPTION_ID": ("subscription_id", parsing.text),
    "STOMP_OUTGOING_HEARTBEAT": ("outgoing_heartbeat_ms", _heartbeat),
    "STOMP_INCOMING_HEARTBEAT": ("incoming_heartbeat_ms", _heartbeat),
    "STOMP_USE_SSL": ("use_ssl", parsing.boolean),
    "DEFAULT_STOMP_KEY_FILE": ("key_file", parsing.text),
    "DEFAULT_STOMP_CERT_FILE": ("cert_file", parsing.text),
    "DEFAULT_STOMP_CA_CERTS": ("ca_certs", parsing.text),
    "DEFAULT_STOMP_SSL_PASSWORD": ("ssl_password", parsing.text),
    "STOMP_WAIT_TO_CONNECT": ("wait_to_connect_s", parsing.or_unset(parsing.seconds)),
    "STOMP_DURABLE_TOPIC_SUBSCRIPTION": ("durable_topic_subscription", parsing.boolean),
    "STOMP_LISTENER_CLIENT_ID": ("listener_client_id", parsing.text),
    "STOMP_CORRELATION_ID_REQUIRED": ("correlation_id_required", parsing.boolean),
    "STOMP_PROCESS_MSG_ON_BACKGROUND": ("process_on_background", parsing.boolean),
    "STOMP_PROCESS_MSG_WORKERS": ("process_workers", parsing.or_unset(parsing.whole(1, 1_000))),
    "STOMP_DEFAULT_EXCLUSIVE_QUEUE": ("default_exclusive_queue", parsing.boolean),
}
_GRACEFUL_WAIT = "STOMP_GRACEFUL_WAIT_SECONDS"
_SECRET = {"SECRET_KEYS", "METRICS_TOKEN", "STOMP_SERVER_PASSWORD", "DEFAULT_STOMP_SSL_PASSWORD"}

STOMP_SETTING_NAMES = (*_STOMP, _GRACEFUL_WAIT)
"""Every setting of django-stomp that is read here; the project form takes them from the environment too."""


def settings_now() -> Settings:
    """The settings as they are now. Raises ConfigurationError that names all that is wrong with them."""
    settings, problems = _read()
    if problems:
        raise ConfigurationError("\n".join(problems))
    return settings


def problems() -> tuple[str, ...]:
    """What is wrong with the settings, a sentence each; empty when all is well."""
    return _read()[1]


@cache
def _read() -> tuple[Settings, tuple[str, ...]]:
    wrong: list[str] = []
    values = _read_ours(wrong)
    if hasattr(django_settings, _GRACEFUL_WAIT):
        wait = _parsed(_GRACEFUL_WAIT, getattr(django_settings, _GRACEFUL_WAIT), parsing.or_unset(parsing.wait), wrong)
        values |= {} if wait is None else {"graceful_wait_s": wait}
    settings = Settings(**values, stomp=_read_stomp(wrong))
    wrong += _clashes(settings)
    return settings, tuple(wrong)


def _read_ours(wrong: list[str]) -> dict[str, Any]:
    given = getattr(django_settings, "STOMPCONSOLE", None) or {}
    if not isinstance(given, Mapping):
        wrong.append(f"STOMPCONSOLE is {given!r}; it must be a dict.")
        return {}
    values = {}
    for key, value in given.items():
        if key not in _OURS:
            wrong.append(_unknown(str(key)))
            continue
        parsed = _parsed(key, value, _OURS[key], wrong, shown_as=f'STOMPCONSOLE["{key}"]')
        if parsed is not None:
            values[_field_of(key)] = parsed
    return values


def _field_of(key: str) -> str:
    return key.lower() if key in _WITHOUT_UNIT else f"{key.lower()}_s"


def _unknown(key: str) -> str:
    close = difflib.get_close_matches(key, _OURS, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"STOMPCONSOLE has no key {key!r}.{meant} Allowed are {', '.join(_OURS)}."


def _read_stomp(wrong: list[str]) -> StompSettings | None:
    values: dict[str, Any] = {"host": ""}
    for name, (attribute, parse) in _STOMP.items():
        if hasattr(django_settings, name):
            parsed = _parsed(name, getattr(django_settings, name), parse, wrong)
            values |= {} if parsed is None else {attribute: parsed}
    return StompSettings(**values) if values["host"] else None


def _parsed(name: str, value: Any, parse: Parser, wrong: list[str], *, shown_as: str = "") -> Any:
    try:
        return parse(value)
    except parsing.WrongValueError as allowed:
        shown = "set to something else" if name in _SECRET else repr(value)
        wrong.append(f"{shown_as or name} is {shown}; it must be {allowed}.")
        return None


def _clashes(settings: Settings) -> list[str]:
    found = []
    if settings.lease_s < 2 * settings.heartbeat_s:
        found.append(
            f'STOMPCONSOLE["LEASE"] is {settings.lease_s:g}; it must be at least twice HEARTBEAT'
            f" ({settings.heartbeat_s:g}), or a lease runs out before it is renewed."
        )
    if settings.stale_after_s <= settings.heartbeat_s:
        found.append(
            f'STOMPCONSOLE["STALE_AFTER"] is {settings.stale_after_s:g}; it must be more than HEARTBEAT'
            f" ({settings.heartbeat_s:g}), or every worker looks stale."
        )
    stomp = settings.stomp
    if stomp and bool(stomp.standby_host) != bool(stomp.standby_port):
        found.append(
            "STOMP_SERVER_STANDBY_HOST and STOMP_SERVER_STANDBY_PORT belong together:"
            f" they are {stomp.standby_host!r} and {stomp.standby_port!r}; set both or neither."
        )
    return found


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "STOMPCONSOLE" or setting in STOMP_SETTING_NAMES:
        _read.cache_clear()


setting_changed.connect(_forget, dispatch_uid="stompconsole.conf")

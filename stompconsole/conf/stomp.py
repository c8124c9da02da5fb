"""The settings of django-stomp: each with its name, its default, and how its value is read.

Owns which of them can't work together, and which have no effect as the others stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from stompconsole.conf import parsing
from stompconsole.conf.reading import Setting

DEFAULT_PORT = 61_613
DEFAULT_GRACEFUL_WAIT_S = 30.0
PREFETCH_PER_THREAD = 10
"""Enough to keep a thread busy; few enough that several processes on one queue share its messages."""

WITHOUT_EFFECT = {
    "DEFAULT_STOMP_SSL_VERSION": (
        "stomp.py ignored it already, and the newest TLS version that both sides know is used."
    ),
    "DEFAULT_STOMP_CERT_VALIDATOR": (
        "it came after the handshake and said nothing about who the broker is. The certificate and its host name are"
        " verified, by DEFAULT_STOMP_CA_CERTS or by the authorities of the system."
    ),
}
"""Settings of django-stomp that do nothing here, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StompSettings:
    """The ``STOMP_*`` settings of django-stomp. ``_ms`` in milliseconds, ``_s`` in seconds; empty text is unset.

    ``tls_verify`` is ``STOMPCONSOLE["TLS_VERIFY"]``, which django-stomp had no setting for.
    """

    host: str = ""
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
    tls_verify: bool = True
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
    graceful_wait_s: float = DEFAULT_GRACEFUL_WAIT_S
    default_exclusive_queue: bool = False

    @property
    def threads(self) -> int:
        """How many handlers run at once: django-stomp took one message at a time unless it was told otherwise."""
        return (self.process_workers or 1) if self.process_on_background else 1

    @property
    def prefetch(self) -> int:
        """How many messages are fetched ahead; in the foreground each only when the one before it is done."""
        return self.threads * PREFETCH_PER_THREAD if self.process_on_background else 1


_PORT = parsing.or_unset(parsing.whole(1, 65_535))
_MILLISECONDS = parsing.or_unset(parsing.whole(0, 3_600_000))


def _heartbeat(value: Any) -> Any:
    # As django-stomp had it: None switches heart-beats off, it does not mean the default.
    return 0 if value is None else _MILLISECONDS(value)


def _ignored(_: Any) -> None:
    """Any value at all: it is not used."""


SETTINGS = (
    Setting("STOMP_SERVER_HOST", "host", parsing.host),
    Setting("STOMP_SERVER_PORT", "port", _PORT),
    Setting("STOMP_SERVER_STANDBY_HOST", "standby_host", parsing.host),
    Setting("STOMP_SERVER_STANDBY_PORT", "standby_port", _PORT),
    Setting("STOMP_SERVER_USER", "user", parsing.text),
    Setting("STOMP_SERVER_PASSWORD", "password", parsing.text, secret=True),
    Setting("STOMP_SERVER_VHOST", "vhost", parsing.text),
    Setting("STOMP_SUBSCRIPTION_ID", "subscription_id", parsing.identifier),
    Setting("STOMP_OUTGOING_HEARTBEAT", "outgoing_heartbeat_ms", _heartbeat),
    Setting("STOMP_INCOMING_HEARTBEAT", "incoming_heartbeat_ms", _heartbeat),
    Setting("STOMP_USE_SSL", "use_ssl", parsing.boolean),
    Setting("DEFAULT_STOMP_KEY_FILE", "key_file", parsing.path),
    Setting("DEFAULT_STOMP_CERT_FILE", "cert_file", parsing.path),
    Setting("DEFAULT_STOMP_CA_CERTS", "ca_certs", parsing.path),
    Setting("DEFAULT_STOMP_SSL_PASSWORD", "ssl_password", parsing.text, secret=True),
    Setting("DEFAULT_STOMP_SSL_VERSION", "", _ignored),
    Setting("DEFAULT_STOMP_CERT_VALIDATOR", "", _ignored),
    Setting("STOMP_WAIT_TO_CONNECT", "wait_to_connect_s", parsing.or_unset(parsing.pause)),
    Setting("STOMP_DURABLE_TOPIC_SUBSCRIPTION", "durable_topic_subscription", parsing.boolean),
    Setting("STOMP_LISTENER_CLIENT_ID", "listener_client_id", parsing.identifier),
    Setting("STOMP_CORRELATION_ID_REQUIRED", "correlation_id_required", parsing.boolean),
    Setting("STOMP_PROCESS_MSG_ON_BACKGROUND", "process_on_background", parsing.boolean),
    Setting("STOMP_PROCESS_MSG_WORKERS", "process_workers", parsing.or_unset(parsing.whole(1, 100))),
    Setting("STOMP_GRACEFUL_WAIT_SECONDS", "graceful_wait_s", parsing.or_unset(parsing.wait)),
    Setting("STOMP_DEFAULT_EXCLUSIVE_QUEUE", "default_exclusive_queue", parsing.boolean),
)

NAMES = tuple(setting.name for setting in SETTINGS)


def clashes(stomp: StompSettings) -> Iterator[str]:
    """What can't work together, a sentence each."""
    if bool(stomp.standby_host) != bool(stomp.standby_port):
        yield (
            "STOMP_SERVER_STANDBY_HOST and STOMP_SERVER_STANDBY_PORT belong together:"
            f" they are {stomp.standby_host!r} and {stomp.standby_port!r}; set both or neither."
        )
    if stomp.key_file and not stomp.cert_file:
        yield (
            f"DEFAULT_STOMP_KEY_FILE is {stomp.key_file!r}, but DEFAULT_STOMP_CERT_FILE is not set:"
            " a key needs its certificate."
        )


def doubts(stomp: StompSettings) -> Iterator[str]:
    """What works but has no effect, or not the one that was meant; a sentence each."""
    if not stomp.host and (idle := _set(stomp, "port", "standby_host", "user", "password", "vhost", "use_ssl")):
        yield f"STOMP_SERVER_HOST is not set, so {idle} has no effect: the settings describe no broker."
    if not stomp.use_ssl and (idle := _set(stomp, "ca_certs", "cert_file", "key_file", "ssl_password")):
        yield f"STOMP_USE_SSL is off, so {idle} has no effect: the password goes to the broker in plain text."
    if stomp.password and not stomp.user:
        yield "STOMP_SERVER_PASSWORD is set without STOMP_SERVER_USER: nobody logs in with it."
    if stomp.process_workers and not stomp.process_on_background:
        yield "STOMP_PROCESS_MSG_WORKERS has no effect while STOMP_PROCESS_MSG_ON_BACKGROUND is off."
    if stomp.durable_topic_subscription and not stomp.listener_client_id:
        yield (
            "STOMP_DURABLE_TOPIC_SUBSCRIPTION is on without STOMP_LISTENER_CLIENT_ID: durable subscriptions are then"
            " named after the consumer. Set the id that the broker knows your subscriptions by."
        )


def _set(stomp: StompSettings, *attributes: str) -> str:
    names = {setting.attribute: setting.name for setting in SETTINGS}
    untouched = StompSettings()
    return ", ".join(names[each] for each in attributes if getattr(stomp, each) != getattr(untouched, each))

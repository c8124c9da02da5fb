"""The broker row named ``default``: what django-stomp's ``STOMP_*`` settings describe, kept in step with them.

Owns which fields the settings decide. The others stay the operator's.
"""

from __future__ import annotations

from typing import Any

from stompconsole.conf import StompSettings, settings_now
from stompconsole.models.broker import Broker

NAME = "default"

SETTING_OF = {
    "name": "STOMP_SERVER_HOST",
    "host": "STOMP_SERVER_HOST",
    "port": "STOMP_SERVER_PORT",
    "standby_host": "STOMP_SERVER_STANDBY_HOST",
    "standby_port": "STOMP_SERVER_STANDBY_PORT",
    "vhost": "STOMP_SERVER_VHOST",
    "user": "STOMP_SERVER_USER",
    "password": "STOMP_SERVER_PASSWORD",
    "use_tls": "STOMP_USE_SSL",
    "tls_verify": 'STOMPCONSOLE["TLS_VERIFY"]',
    "tls_ca_certs": "DEFAULT_STOMP_CA_CERTS",
    "tls_cert_file": "DEFAULT_STOMP_CERT_FILE",
    "tls_key_file": "DEFAULT_STOMP_KEY_FILE",
    "tls_key_password": "DEFAULT_STOMP_SSL_PASSWORD",
    "heartbeat_send_ms": "STOMP_OUTGOING_HEARTBEAT",
    "heartbeat_receive_ms": "STOMP_INCOMING_HEARTBEAT",
    "reconnect_pause_s": "STOMP_WAIT_TO_CONNECT",
}
"""The fields of the row that the settings decide, and which setting decides each."""


def kept_by_settings(broker: Broker) -> bool:
    """Whether a row's connection is decided by the settings rather than by operators."""
    return broker.name == NAME and settings_now().stomp is not None


def keep_default_broker() -> Broker | None:
    """Create the row, or bring it into step with the settings; None when STOMP_SERVER_HOST is not set.

    Saves only what differs. Raises ConfigurationError when the settings are wrong.
    """
    stomp = settings_now().stomp
    if stomp is None:
        return None
    wanted = _fields(stomp)
    broker, created = Broker.objects.get_or_create(name=NAME, defaults=wanted)
    if not created and any(getattr(broker, field) != value for field, value in wanted.items()):
        for field, value in wanted.items():
            setattr(broker, field, value)
        broker.save()
    return broker


def from_settings(stomp: StompSettings) -> Broker:
    """The row as the settings describe it, not saved: for what runs without a database."""
    return Broker(name=NAME, **_fields(stomp))


def _fields(stomp: StompSettings) -> dict[str, Any]:
    return {
        "host": stomp.host,
        "port": stomp.port,
        "standby_host": stomp.standby_host,
        "standby_port": stomp.standby_port,
        "vhost": stomp.vhost,
        "user": stomp.user,
        "password": stomp.password,
        "use_tls": stomp.use_ssl,
        "tls_verify": stomp.tls_verify,
        "tls_ca_certs": stomp.ca_certs,
        "tls_cert_file": stomp.cert_file,
        "tls_key_file": stomp.key_file,
        "tls_key_password": stomp.ssl_password,
        "heartbeat_send_ms": stomp.outgoing_heartbeat_ms,
        "heartbeat_receive_ms": stomp.incoming_heartbeat_ms,
        "reconnect_pause_s": stomp.wait_to_connect_s,
    }

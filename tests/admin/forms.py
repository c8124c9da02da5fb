"""What the admin's forms send, and what its answers say."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse

from stompconsole.models import Broker

HANDLER = "stompconsole.project.handlers.orders"
PASSWORD = "correct horse battery staple"


def said(response: HttpResponse) -> list[str]:
    """The errors of a form that was sent back."""
    form = response.context["adminform"].form  # type: ignore[attr-defined]
    return [error for errors in form.errors.values() for error in errors]


def messages_of(response: HttpResponse) -> str:
    """The messages on a page."""
    return " ".join(str(message) for message in response.context["messages"])  # type: ignore[attr-defined]


def broker_form(**fields: Any) -> dict[str, Any]:
    """What the broker's form sends as it stands, with some fields otherwise."""
    return {
        "name": "rabbit", "kind": "auto", "host": "127.0.0.1", "port": "61613", "standby_host": "", "standby_port": "",
        "vhost": "", "user": "app", "password": "", "client_id": "", "tls_verify": "on", "tls_ca_certs": "",
        "tls_cert_file": "", "tls_key_file": "", "tls_key_password": "", "management_url": "", "management_user": "",
        "management_password": "", "heartbeat_send_ms": "10000",
        "heartbeat_receive_ms": "10000", "connect_timeout_s": "10", "receipt_timeout_s": "10",
        "dead_letter_via": "send", "reconnect_pause_s": "10", "failback": "stay", "failback_check_s": "15", **fields,
    }  # fmt: skip


def consumer_form(row: Broker, /, **fields: Any) -> dict[str, Any]:
    """What the consumer's form sends as it stands, with some fields otherwise."""
    return {
        "store_body": "on", "name": "orders", "broker": str(row.pk), "destination": "/queue/orders", "handler": HANDLER,
        "paused_reason": "", "instances": "1", "concurrency": "1", "prefetch": "100", "ack_mode": "client-individual",
        "codec": "json", "max_attempts": "1", "retry_first_delay_s": "1", "retry_factor": "2",
        "retry_max_delay_s": "60", "retry_later": "", "breaker_in_a_row": "0", "breaker_percent": "0",
        "breaker_probe_s": "30", "dead_letter_destination": "", "capture": "on", **fields,
    }  # fmt: skip

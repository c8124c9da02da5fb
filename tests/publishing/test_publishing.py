"""Publishing: what goes over the wire, what is confirmed, and what is said when it is not."""

from __future__ import annotations

import json
import sys
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings

from stompconsole import publish
from stompconsole.delivery import envelope
from stompconsole.devbroker.broker import StoredMessage
from stompconsole.errors import BrokerRefused, ConfigurationError, ConnectFailed, ReceiptTimeout
from stompconsole.models import Broker
from stompconsole.publishing import WINDOW, broker_spec, process_senders, publish_many
from tests.deadletters.engines import database_url
from tests.deadletters.making import make_broker
from tests.delivery.running import running
from tests.publishing.conftest import QUEUE
from tests.support.brokers import TestBroker
from tests.support.devbroker import RunningDevBroker
from tests.support.ports import free_port
from tests.support.processes import start
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def only(wire: RunningDevBroker) -> StoredMessage:
    (message,) = wire.messages(QUEUE)
    return message


def test_a_body_goes_as_json_persistent_with_a_correlation_id(wire: RunningDevBroker, broker: str) -> None:
    publish(QUEUE, {"at": datetime(2026, 1, 1, tzinfo=UTC), "price": Decimal("1.10")}, broker=broker)
    message = only(wire)
    assert json.loads(message.body) == {"at": "2026-01-01T00:00:00Z", "price": "1.10"}
    assert message.headers["content-type"] == "application/json;charset=utf-8"
    assert message.headers["persistent"] == "true"
    assert message.headers["content-length"] == str(len(message.body))
    assert uuid.UUID(message.headers["correlation-id"])


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
        (bytearray(b"ab"), b"ab", "application/octet-stream"),
        (memoryview(b"ab"), b"ab", "application/octet-stream"),
        (None, b"null", "application/json;charset=utf-8"),
        ([], b"[]", "application/json;charset=utf-8"),
        ("Käse", b'"K\\u00e4se"', "application/json;charset=utf-8"),
        ("", b'""', "application/json;charset=utf-8"),
    ],
)
def test_bytes_go_as_they_are_and_all_else_as_json(
    wire: RunningDevBroker, broker: str, body: Any, sent: bytes, content_type: str
) -> None:
    publish(QUEUE, body, broker=broker)
    assert (only(wire).body, only(wire).headers["content-type"]) == (sent, content_type)


@pytest.mark.parametrize(
    ("content_type", "sent"),
    [
        ("text/plain", "Käse".encode()),
        ("text/plain;charset=latin-1", "Käse".encode("latin-1")),
        ("application/xml", "Käse".encode()),
        ("application/vnd.order+json", b'"K\\u00e4se"'),
        ("application/json; charset=utf-8", b'"K\\u00e4se"'),
    ],
)
def test_text_goes_as_the_content_type_of_yours_says(
    wire: RunningDevBroker, broker: str, content_type: str, sent: bytes
) -> None:
    publish(QUEUE, "Käse", headers={"content-type": content_type}, broker=broker)
    assert (only(wire).body, only(wire).headers["content-type"]) == (sent, content_type)


def test_headers_of_yours_are_kept_and_reserved_ones_left_out(wire: RunningDevBroker, broker: str) -> None:
    headers = {
        "correlation-id": "c-1",
        "content-type": "application/vnd.order+json",
        "count": 3,
        "urgent": True,
        "none": None,
        "a:b": "c:d",
        "expires": "0",
        "destination": "/queue/elsewhere",
        "content-length": "99",
        "message-id": "m",
        "receipt": "r",
        "transaction": "t",
        "persistent": "false",
        envelope.DEAD_LETTER_ID: str(uuid.uuid4()),
    }
    publish(QUEUE, {}, headers=headers, broker=broker)
    kept = {name: value for name, value in only(wire).headers.items() if name != "message-id"}
    assert kept == {
        "destination": QUEUE,
        "persistent": "true",
        "content-length": "2",
        "correlation-id": "c-1",
        "content-type": "application/vnd.order+json",
        "count": "3",
        "urgent": "true",
        "a:b": "c:d",
        "expires": "0",
    }


def test_an_empty_correlation_id_is_replaced(wire: RunningDevBroker, broker: str) -> None:
    publish(QUEUE, {}, headers={"correlation-id": ""}, broker=broker)
    assert uuid.UUID(only(wire).headers["correlation-id"])


@pytest.mark.long
def test_published_messages_arrive_on_each_broker(any_broker: TestBroker, destination: str) -> None:
    row = make_broker(any_broker)
    publish(destination, {"n": 0}, broker=row.name)
    publish_many(destination, [{"n": number} for number in range(1, 1_200)], broker=row.name)
    with running(row.spec(), destination) as run:
        run.seen.wait(1_200)
    assert [body["n"] for body in run.seen.bodies] == list(range(1_200))


def test_many_messages_are_in_flight_at_once_and_all_confirmed(wire: RunningDevBroker, broker: str) -> None:
    publish_many(QUEUE, (str(number) for number in range(2 * WINDOW + 1)), broker=broker)
    assert wire.depth(QUEUE) == 2 * WINDOW + 1
    assert len({message.headers["correlation-id"] for message in wire.messages(QUEUE)}) == 2 * WINDOW + 1
    publish_many(QUEUE, [], broker=broker)


def test_one_session_serves_all_calls_of_a_process(wire: RunningDevBroker, broker: str) -> None:
    for _ in range(3):
        publish(QUEUE, {}, broker=broker)
    assert wire.connections() == 1
    process_senders().close(2.0)
    until(lambda: wire.connections() == 0, 5, "the session is closed")
    publish(QUEUE, {}, broker=broker)
    assert wire.depth(QUEUE) == 4


def test_a_refusal_is_raised_in_the_broker_s_words(wire: RunningDevBroker, broker: str) -> None:
    wire.faults.refuse_sends("User app is not authorized to write")
    with pytest.raises(BrokerRefused, match="User app is not authorized to write"):
        publish(QUEUE, {}, broker=broker)


def test_of_many_an_error_says_how_many_were_confirmed(wire: RunningDevBroker, broker: str) -> None:
    wire.faults.drop_after(3, "SEND")
    with pytest.raises(Exception, match=r"\d of 5 messages were confirmed, then: "):
        publish_many(QUEUE, range(5), broker=broker)


@pytest.mark.long
def test_a_broker_that_is_blocked_ends_in_a_receipt_timeout(wire: RunningDevBroker, broker: str) -> None:
    wire.faults.block_sends()
    with pytest.raises(ReceiptTimeout, match="does not confirm"):
        publish(QUEUE, {}, broker=broker)
    with pytest.raises(ReceiptTimeout, match=r"did not confirm in 0\.05 s"):
        publish(QUEUE, {}, broker=broker, timeout_s=0.05)


def test_a_broker_that_is_away_is_said_so() -> None:
    port = free_port()
    name = make_broker(port=port).name
    with pytest.raises(ConnectFailed, match=f"127.0.0.1:{port}"):
        publish(QUEUE, {}, broker=name)


def test_an_unknown_broker_names_those_there_are(broker: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no broker named 'nope'; there are: {broker}"):
        publish(QUEUE, {}, broker="nope")
    with pytest.raises(ConfigurationError, match="STOMP_SERVER_HOST is not set"):
        publish(QUEUE, {})


def test_the_default_broker_comes_from_the_settings(wire: RunningDevBroker) -> None:
    with override_settings(STOMP_SERVER_HOST="127.0.0.1", STOMP_SERVER_PORT=wire.port):
        publish(QUEUE, {})
    assert wire.depth(QUEUE) == 1
    assert Broker.objects.get().name == "default"


def test_a_broker_row_that_is_edited_is_used_as_it_is_now(wire: RunningDevBroker, broker: str) -> None:
    before = broker_spec(broker)
    Broker.objects.filter(name=broker).update(receipt_timeout_s=7.0)
    assert broker_spec(broker) != before
    assert broker_spec(broker).receipt_timeout_s == 7.0


@pytest.mark.parametrize(
    ("destination", "body", "headers", "error"),
    [
        (QUEUE, object(), {}, TypeError),
        (QUEUE, {}, {"": "x"}, ConfigurationError),
        (QUEUE, {}, {"x": "a\0b"}, ConfigurationError),
        ("", {}, {}, ConfigurationError),
        (QUEUE, "Käse", {"content-type": "text/plain;charset=ascii"}, ConfigurationError),
        (QUEUE, "Käse", {"content-type": "text/plain;charset=klingon"}, ConfigurationError),
    ],
)
def test_what_can_t_be_sent_fails_in_the_call_and_not_after_the_commit(
    wire: RunningDevBroker, broker: str, destination: str, body: Any, headers: dict[str, str], error: type[Exception]
) -> None:
    with transaction.atomic(), pytest.raises(error):
        publish(destination, body, headers=headers, broker=broker)
    assert wire.destinations() == []


@pytest.mark.long
def test_a_forked_process_has_a_session_of_its_own(wire: RunningDevBroker, broker: str) -> None:
    connection.ensure_connection()
    env = {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": database_url()}
    with start([sys.executable, "-m", "tests.publishing.forking", broker, QUEUE], env=env) as process:
        assert process.wait(30) == 0, process.text()
    assert wire.bodies(QUEUE) == [b'"parent, before"', b'"child"', b'"parent, after"']
    until(lambda: wire.connections() == 0, 5, "both are closed at exit")

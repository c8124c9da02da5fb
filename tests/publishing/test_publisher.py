"""``build_publisher`` and its publisher: the frames, the tries, the connection. No rows: tests that need none have no
database at all."""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

from stompconsole import Publisher, auto_open_close_connection, build_publisher
from stompconsole.correlation import InThread
from stompconsole.delivery import envelope
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.devbroker.broker import StoredMessage
from stompconsole.devbroker.refusals import AfterError
from stompconsole.errors import BrokerRefused, ConfigurationError, ConnectFailed, LoginRefused, ReceiptTimeout
from stompconsole.publishing import publisher as publisher_module
from tests.deadletters.making import make_broker
from tests.publishing.conftest import QUEUE
from tests.support.devbroker import RunningDevBroker
from tests.support.processes import start
from tests.support.waiting import until

MakePublisher = Callable[..., Publisher]


def only(wire: RunningDevBroker) -> StoredMessage:
    (message,) = wire.messages(QUEUE)
    return message


def said(wire: RunningDevBroker, command: str) -> list[dict[str, str]]:
    """The headers of every frame of this command, of all connections in the order they were made."""
    lines = [line for lines in wire.transcripts().values() for line in lines]
    return [dict(line.headers) for line in lines if line.command == command]


def settings_of(wire: RunningDevBroker) -> dict[str, Any]:
    return {"STOMP_SERVER_HOST": wire.host, "STOMP_SERVER_PORT": wire.port}


class TestFrames:
    def test_a_send_is_what_it_was_in_django_stomp(self, wire: RunningDevBroker, publisher: Publisher) -> None:
        publisher.send({"price": None, "id": uuid.UUID(int=1)}, QUEUE, {"correlation-id": "c-1", "x-team": "7"})
        assert json.loads(only(wire).body) == {"price": None, "id": str(uuid.UUID(int=1))}
        (sent,) = said(wire, "SEND")
        assert {name: value for name, value in sent.items() if name != "receipt"} == {
            "destination": QUEUE,
            "content-type": "application/json;charset=utf-8",
            "content-length": str(len(only(wire).body)),
            "correlation-id": "c-1",
            "tshoot-destination": QUEUE,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": "DLQ.orders",
            "persistent": "true",
            "x-team": "7",
        }
        assert sent["receipt"], "without one a refusal would go unheard"

    @pytest.mark.parametrize("body", ["text", None, [1], 3, {"a": 1}])
    def test_every_body_is_json(self, wire: RunningDevBroker, publisher: Publisher, body: Any) -> None:
        publisher.send(body, QUEUE)
        assert json.loads(only(wire).body) == body

    def test_reserved_headers_are_taken_out_and_the_dict_is_left_as_it_was(
        self, wire: RunningDevBroker, publisher: Publisher
    ) -> None:
        unsafe = dict.fromkeys(Publisher.UNSAFE_OR_RESERVED_BROKER_HEADERS_FOR_REMOVAL, "of yours")
        given = {
            **unsafe,
            "receipt": "r",
            "ack": "a",
            "tshoot-destination": "/queue/x",
            envelope.REPLAY_ID: "7",
            "n": 1,
        }
        before = dict(given)
        publisher.send({}, QUEUE, given)
        assert given == before
        headers = only(wire).headers
        assert "of yours" not in headers.values()
        assert headers["tshoot-destination"] == QUEUE
        assert headers["n"] == "1"
        assert not {"receipt", "ack", envelope.REPLAY_ID} & set(headers)

    def test_the_headers_that_are_taken_out_are_those_of_django_stomp(self) -> None:
        assert set(Publisher.UNSAFE_OR_RESERVED_BROKER_HEADERS_FOR_REMOVAL) == {
            "message-id", "transaction", "redelivered", "subscription", "destination", "content-length", "content-type",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("given", "sent"), [({}, None), ({"persistent": "true"}, "true"), ({"persistent": "false"}, None)]
    )
    def test_what_is_not_persistent_has_no_such_header(
        self, wire: RunningDevBroker, publisher: Publisher, given: dict[str, str], sent: str | None
    ) -> None:
        publisher.send({}, QUEUE, given, persistent=False)
        assert only(wire).headers.get("persistent") == sent

    def test_persistent_can_t_be_switched_off_by_a_header(self, wire: RunningDevBroker, publisher: Publisher) -> None:
        publisher.send({}, QUEUE, {"persistent": "false"})
        assert only(wire).headers["persistent"] == "true"

    @pytest.mark.parametrize("given", [{}, {"correlation-id": ""}, {"correlation-id": None}])
    def test_the_id_in_hand_is_carried_on_or_one_is_made(
        self, wire: RunningDevBroker, publisher: Publisher, given: dict[str, Any]
    ) -> None:
        with InThread("c-1"):
            publisher.send({}, QUEUE, given)
        publisher.send({}, QUEUE, given)
        carried, made = (message.headers["correlation-id"] for message in wire.messages(QUEUE))
        assert carried == "c-1"
        assert uuid.UUID(made)

    def test_what_can_t_be_sent_is_refused_before_anything_is(
        self, wire: RunningDevBroker, publisher: Publisher
    ) -> None:
        for wrong in (
            lambda: publisher.send({}, ""),
            lambda: publisher.send({}, QUEUE, {"": "x"}),
            lambda: publisher.send({}, QUEUE, attempt=0),
        ):
            with pytest.raises(ConfigurationError):
                wrong()
        with pytest.raises(TypeError):
            publisher.send(object(), QUEUE)
        assert wire.connections() == 0


class TestConnection:
    def test_it_is_known_by_its_client_id(self, wire: RunningDevBroker) -> None:
        with override_settings(**settings_of(wire)):
            named, unnamed = build_publisher("shop"), build_publisher()
        for publisher in (named, unnamed):
            with publisher.auto_open_close_connection():
                assert publisher.is_open()
        first, second = (connect["client-id"] for connect in said(wire, "CONNECT"))
        assert first == "shop-publisher"
        assert uuid.UUID(second.removesuffix("-publisher"))

    def test_it_needs_no_database(self, wire: RunningDevBroker) -> None:
        """This test has none: a query would raise."""
        with override_settings(**settings_of(wire)):
            publisher = build_publisher()
        publisher.send(1, QUEUE)
        assert wire.depth(QUEUE) == 1
        publisher.close()

    @pytest.mark.django_db
    def test_without_settings_it_is_the_row_called_default(self, wire: RunningDevBroker) -> None:
        with pytest.raises(ConfigurationError, match="STOMP_SERVER_HOST is not set"):
            build_publisher()
        make_broker(port=wire.port, name="default")
        publisher = build_publisher()
        publisher.send(1, QUEUE)
        assert wire.depth(QUEUE) == 1
        publisher.close()

    def test_it_connects_when_it_is_told_to_or_has_something_to_send(
        self, wire: RunningDevBroker, publisher: Publisher
    ) -> None:
        assert not publisher.is_open()
        publisher.close()
        publisher.start()
        publisher.start_if_not_open()
        assert publisher.is_open()
        assert wire.connections() == 1
        publisher.close()
        assert not publisher.is_open()
        until(lambda: wire.connections() == 0, 5, "it is closed in good order")
        assert len(said(wire, "DISCONNECT")) == 1
        publisher.send(1, QUEUE)
        assert publisher.is_open()

    def test_it_takes_no_half_seconds(self, publisher: Publisher) -> None:
        started = time.perf_counter()
        for _ in range(5):
            with publisher.auto_open_close_connection():
                publisher.send(1, QUEUE)
        assert time.perf_counter() - started < 2.5, "in django-stomp each took a second"

    def test_the_blocks_give_the_publisher_and_close_it_whatever_happens(
        self, wire: RunningDevBroker, publisher: Publisher
    ) -> None:
        for block in (publisher.auto_open_close_connection, lambda: auto_open_close_connection(publisher)):
            with block() as given:
                assert given is publisher
                assert publisher.is_open()
            with pytest.raises(KeyError), block():
                raise KeyError("mine")
            assert not publisher.is_open()

    def test_a_broker_that_is_away_is_told_at_the_beginning_of_a_block(
        self, wire: RunningDevBroker, publisher: Publisher
    ) -> None:
        wire.stop()
        with pytest.raises(ConnectFailed), publisher.auto_open_close_connection():
            raise AssertionError("the block is not entered")

    def test_one_that_is_dropped_ends_its_session(self, wire: RunningDevBroker, spec: BrokerSpec) -> None:
        Publisher(spec).send(1, QUEUE)
        until(lambda: wire.connections() == 0, 5, "its session is closed")
        assert len(said(wire, "DISCONNECT")) == 1

    @pytest.mark.long
    def test_a_forked_process_has_a_connection_of_its_own(self, wire: RunningDevBroker) -> None:
        env = {"DJANGO_SETTINGS_MODULE": "tests.settings", "STOMP_SERVER_HOST": wire.host}
        env |= {"STOMP_SERVER_PORT": str(wire.port)}
        with start([sys.executable, "-m", "tests.publishing.forking_publisher", QUEUE], env=env) as process:
            assert process.wait(30) == 0, process.text()
        assert wire.bodies(QUEUE) == [b'"parent, before"', b'"child"', b'"parent, after"']
        assert len(said(wire, "CONNECT")) == 2


class TestTries:
    @pytest.fixture(autouse=True)
    def _short_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        policy = publisher_module.RetryPolicy(first_delay_s=0.01, max_delay_s=0.02)
        monkeypatch.setattr(publisher_module, "BETWEEN_TRIES", policy)

    def test_a_lost_connection_is_tried_again(self, wire: RunningDevBroker, publisher: Publisher) -> None:
        publisher.send(1, QUEUE)
        wire.faults.drop_after(1, "SEND")
        publisher.send(2, QUEUE, attempt=2)
        bodies = wire.bodies(QUEUE)
        assert bodies[:2] == [b"1", b"2"]
        assert set(bodies[2:]) <= {b"2"}, "what lost its receipt may be there twice"

    def test_attempt_is_how_often_it_is_tried(
        self, wire: RunningDevBroker, publisher: Publisher, caplog: pytest.LogCaptureFixture
    ) -> None:
        wire.stop()
        with pytest.raises(ConnectFailed):
            publisher.send({"secret": 1}, QUEUE, {"correlation-id": "c-1"}, attempt=3)
        tried = [record for record in caplog.records if record.name == publisher_module.__name__]
        assert [record.args[1:3] for record in tried if isinstance(record.args, tuple)] == [(1, 3), (2, 3)]
        assert {record.correlation_id for record in tried} == {"c-1"}  # type: ignore[attr-defined]
        assert "secret" not in caplog.text

    def test_it_goes_on_as_soon_as_the_broker_is_back(self, wire: RunningDevBroker, publisher: Publisher) -> None:
        wire.stop()
        sending = threading.Thread(target=lambda: publisher.send(1, QUEUE, attempt=1_000))
        sending.start()
        wire.start()
        sending.join(10)
        assert wire.bodies(QUEUE) == [b"1"]

    def test_however_many_tries_are_left_there_is_an_end(
        self, wire: RunningDevBroker, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(publisher_module, "TRY_FOR_S", 0.2)
        wire.stop()
        started = time.monotonic()
        with pytest.raises(ConnectFailed):
            publisher.send(1, QUEUE, attempt=1_000_000)
        assert time.monotonic() - started < 5

    def test_a_refusal_is_raised_at_once(self, wire: RunningDevBroker, publisher: Publisher) -> None:
        wire.faults.refuse_sends("User app is not authorized to write")
        with pytest.raises(BrokerRefused, match="User app is not authorized to write"):
            publisher.send(1, QUEUE, attempt=5)
        assert len(said(wire, "SEND")) == 1

    def test_a_refused_login_is_raised_at_once(self, wire: RunningDevBroker, publisher: Publisher) -> None:
        wire.faults.refuse_connects("no such user")
        with pytest.raises(LoginRefused, match="no such user"):
            publisher.send(1, QUEUE, attempt=5)
        assert len(said(wire, "CONNECT")) == 1

    @pytest.mark.long
    def test_a_broker_that_is_blocked_is_not_given_a_second_copy(
        self, wire: RunningDevBroker, publisher: Publisher
    ) -> None:
        wire.faults.block_sends()
        with pytest.raises(ReceiptTimeout):
            publisher.send(1, QUEUE, attempt=5)
        wire.faults.unblock_sends()
        until(lambda: wire.depth(QUEUE) == 1, 5, "what was blocked is carried out")
        assert len(said(wire, "SEND")) == 1

    def test_a_refusal_that_ends_the_session_costs_the_next_message_nothing(
        self, wire: RunningDevBroker, publisher: Publisher
    ) -> None:
        wire.faults.refuse_sends("no", after=AfterError.CLOSE)
        with pytest.raises(BrokerRefused):
            publisher.send(1, QUEUE)
        wire.faults.clear()
        publisher.send(2, QUEUE)
        assert wire.bodies(QUEUE) == [b"2"]

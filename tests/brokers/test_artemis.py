"""ActiveMQ Artemis as its dialect has it: on the real broker, by both of its doors."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import pytest

from stompconsole.brokers import Dialect
from stompconsole.brokers.artemis import BYTES_PER_MESSAGE, Artemis
from stompconsole.delivery import giving_up
from stompconsole.delivery.handling import HandlerWork
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.sender import Sender
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import AckMode, BrokerSpec, ConsumerSpec, DeadLetterVia, capture_spec, consume_spec
from stompconsole.errors import BrokerRefused, WorkFailed
from stompconsole.transport.frames import Frame
from tests.contract.client import Client
from tests.delivery.running import Keep, Seen, is_empty, running, send, take_all, take_dead_letters
from tests.support.brokers import TestBroker
from tests.support.proxy import Proxy
from tests.support.waiting import until

pytestmark = pytest.mark.parametrize("any_broker", ["artemis", "artemis_prefixed"], indirect=True)

ATTEMPTS = 10
"""How often it hands out a message before it moves it to a dead-letter queue of its own."""

SERVERS_DLQ = "DLQ"


@pytest.fixture
def open_client(any_broker: TestBroker) -> Iterator[Callable[[], Client]]:
    """Open a session with Artemis."""
    clients: list[Client] = []

    def open_one() -> Client:
        clients.append(Client(any_broker.endpoint(), any_broker.login()))
        return clients[-1]

    yield open_one
    for client in clients:
        client.session.abort("the test is over")


@pytest.fixture
def virtual() -> str:
    """The name of a virtual topic that nobody else uses."""
    return f"VirtualTopic.{uuid.uuid4().hex[:12]}"


@contextmanager
def sender_to(broker: BrokerSpec) -> Iterator[Sender]:
    sender = Sender(broker)
    try:
        yield sender
    finally:
        sender.close(5)


def failing(seen: Seen) -> Handler:
    def handler(payload: Payload) -> None:
        seen.keep(payload)
        raise KeyError(payload.body)

    return handler


def given_up_by_the_server(open_client: Callable[[], Client], subscribed: str, sent_to: str) -> Frame:
    """A message that Artemis itself has dead-lettered, as it comes from there."""
    mark = uuid.uuid4().hex
    died = open_client().subscribe(SERVERS_DLQ, headers={"selector": f"hyphenated_props:x-mark = '{mark}'"})
    first = open_client()
    first.subscribe(subscribed)
    first.send(sent_to, b"dies", headers={"x-mark": mark})
    first.disconnect()
    while not len(died):
        taker = open_client()
        held = taker.subscribe(subscribed)
        until(partial(any, (held, died)), 20, "it is handed out, or dead-lettered")
        # Left without UNSUBSCRIBE: that counts an attempt.
        taker.disconnect()
    return died.wait(1)[0]


class TestWhereAMessageCameFrom:
    """What Artemis dead-letters itself says where it was, and a SEND there reaches that queue and no other."""

    def test_a_queue(self, any_broker: TestBroker, open_client: Callable[[], Client], destination: str) -> None:
        died = given_up_by_the_server(open_client, destination, destination)

        origin = Artemis().origin(died.headers)

        assert origin == (destination if any_broker.name == "artemis" else destination.removeprefix("/queue/"))
        open_client().send(origin, b"back")
        assert open_client().bodies_left(destination, 1) == [b"back"]

    def test_the_queue_of_a_virtual_topic(self, open_client: Callable[[], Client], virtual: str) -> None:
        one, other = (f"/queue/Consumer.{name}.{virtual}" for name in "AB")
        bystander = open_client()
        seen = bystander.subscribe(other)
        died = given_up_by_the_server(open_client, one, f"/topic/{virtual}")

        bystander.send(Artemis().origin(died.headers), b"back")

        assert open_client().bodies_left(one, 1) == [b"back"]
        bystander.wait_until_nothing_comes()
        assert seen.bodies() == [b"dies"]

    def test_one_that_died_in_the_dead_letter_queue_does_not_say(self, open_client: Callable[[], Client]) -> None:
        headers = {"destination": "/queue/DLQ", "_AMQ_ORIG_ADDRESS": "DLQ", "_AMQ_ORIG_QUEUE": "DLQ"}

        assert Artemis().origin(headers) == ""


def test_what_is_sent_to_the_queue_of_a_virtual_topic_reaches_it_alone(
    any_broker: TestBroker, open_client: Callable[[], Client], virtual: str
) -> None:
    one, other = (f"/queue/Consumer.{name}.{virtual}" for name in "AB")
    broker = any_broker.broker_spec()
    with running(broker, other) as bystander:
        bystander.wait_running()
        with sender_to(broker) as sender:
            # The queue isn't there yet: it is made, and keeps what was sent.
            sender.send(one, {"persistent": "true"}, b'"mine"').result(10)
        assert take_all(broker, one, 1) == ["mine"]
        send(broker, f"/topic/{virtual}", ["for both"])
        bystander.seen.wait(1)
    assert bystander.seen.bodies == ["for both"]
    assert take_all(broker, one, 1) == ["for both"]


@pytest.mark.parametrize("client_id", ["app", "my.app"])
def test_what_is_sent_to_a_durable_subscription_reaches_it_alone(
    any_broker: TestBroker, destination: str, client_id: str
) -> None:
    topic, broker = destination.replace("/queue/", "/topic/"), any_broker.broker_spec()
    names = [f"{client_id}-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    with (
        running(broker, topic, durable=True, client_id=names[0]) as one,
        running(broker, topic, durable=True, client_id=names[1]) as other,
    ):
        one.wait_running()
        other.wait_running()
        own = Artemis().own_address(consume_spec(one.consumer).wanted)
        with sender_to(broker) as sender:
            sender.send(own, {"persistent": "true"}, b'"mine"').result(10)
        send(broker, topic, ["for both"])
        one.seen.wait(2)
        other.seen.wait(1)
    assert (one.seen.bodies, other.seen.bodies) == (["mine", "for both"], ["for both"])


def test_the_sender_says_queue_or_topic_though_its_caller_did_not(any_broker: TestBroker, destination: str) -> None:
    with sender_to(any_broker.broker_spec()) as sender:
        sender.send(destination, {"persistent": "true"}, b'"kept"').result(10)

    assert take_all(any_broker.broker_spec(), destination, 1) == ["kept"]


def test_a_prefetch_of_one_is_one_message_of_any_size(open_client: Callable[[], Client], destination: str) -> None:
    client = open_client()
    client.send(destination, b"small", b"x" * 50_000, b"small")
    inbox = client.subscribe(destination, prefetch=1)

    for count in (1, 2, 3):
        message = inbox.wait(count)[-1]
        client.wait_until_nothing_comes()
        assert len(inbox) == count
        client.ack(message)


def test_auto_mode_goes_on_when_more_has_come_than_a_window_holds(any_broker: TestBroker, destination: str) -> None:
    bodies = ["x" * BYTES_PER_MESSAGE] * 50
    with running(any_broker.broker_spec(), destination, ack_mode=AckMode.AUTO, prefetch=5) as run:
        run.wait_running()
        send(any_broker.broker_spec(), destination, bodies)
        run.seen.wait(50)


def test_a_header_ack_of_the_message_s_own_does_not_keep_it_from_being_settled(
    any_broker: TestBroker, destination: str
) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, ["a", "b"], ack="of the team")
    with running(broker, destination) as run:
        run.seen.wait(2)
        run.wait_settled()
        assert run.runner.status.reason == ""
    assert is_empty(broker, destination)


def test_a_dead_letter_is_never_nacked(any_broker: TestBroker, destination: str) -> None:
    broker = any_broker.broker_spec(dead_letter_via=DeadLetterVia.NACK)
    send(broker, destination, ["bad"])
    with running(broker, destination, failing) as run:
        [(headers, body)] = take_dead_letters(run.consumer, 1)
    assert (headers["stompconsole-error-type"], body) == ("KeyError", b'"bad"')


def test_a_dead_letter_whose_receipt_was_lost_is_there_once(
    any_broker: TestBroker, proxy: Proxy, destination: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(giving_up, "FIRST_PAUSE_S", 0.1)
    broker = any_broker.broker_spec()
    through = any_broker.broker_spec(endpoints=(proxy.endpoint,), receipt_timeout_s=5.0)

    class Through(Senders):
        """Sends by the proxy, while the consumer doesn't."""

        def of(self, broker: BrokerSpec) -> Sender:
            return super().of(through)

    consumer = ConsumerSpec(name="tested", broker=broker, destination=destination, handler="tests.handler")
    seen, senders = Seen(), Through()
    senders.of(broker).dialect()
    runner = SubscriptionRunner(
        consume_spec(consumer), HandlerWork(consumer, failing(seen), senders, "w:1", seen), seen
    )
    runner.start()
    try:
        proxy.freeze_from_broker()
        before = proxy.counts.from_client
        send(broker, destination, ["bad"])
        until(lambda: proxy.counts.from_client > before + 100, 20, "the dead letter is sent")
        proxy.cut()
        proxy.thaw()
        until(lambda: runner.status.in_flight == 0, 20, "it is confirmed and settled")
        assert proxy.connections >= 2, "it was sent once more, on another connection"
    finally:
        runner.drain()
        assert runner.join(15)
        senders.close(2.0)
    send(broker, consumer.dead_letters, ["marker"])
    assert [body for _, body in take_dead_letters(consumer, 2)] == [b'"bad"', b'"marker"']


def test_a_subscription_that_leaves_in_order_counts_no_attempt(any_broker: TestBroker, destination: str) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, ["stays", "stays too"])
    for _ in range(ATTEMPTS + 1):
        held = Held()
        runner = SubscriptionRunner(consume_spec(consumer_of(broker, destination)), held, Seen())
        runner.start()
        until(lambda held=held: len(held.kept) == 2, 20, "it holds both")
        runner.drain()
        assert runner.join(10)
    assert take_all(broker, destination, 2) == ["stays", "stays too"]


def test_dead_letters_that_can_not_be_stored_for_long_stay_where_they_are(
    any_broker: TestBroker, destination: str
) -> None:
    broker = any_broker.broker_spec(reconnect_pause_s=0.02)
    consumer = consumer_of(broker, destination)
    send(broker, consumer.dead_letters, ["waits", "for the database"])
    seen, refuses = Seen(), Refuses(times=ATTEMPTS + 2)
    runner = SubscriptionRunner(capture_spec(consumer), refuses, seen)
    runner.start()
    try:
        until(lambda: len(refuses.kept) == 2, 30, "both are taken once that is possible")
    finally:
        runner.drain()
        assert runner.join(10)
    assert any("the database is away" in reason for _, reason in seen.states)


def test_no_ack_is_ever_refused_however_a_subscription_ends(
    any_broker: TestBroker, destination: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Any ERROR would end the connection, and count an attempt for what is in hand.
    broker = any_broker.broker_spec()
    send(broker, destination, list(range(300)))
    handled: set[int] = set()
    while len(handled) < 300:
        with running(broker, destination, acking_by_hand, threads=4, prefetch=20) as run:
            run.seen.wait(min(40, 300 - len(handled)))
        handled |= set(run.seen.bodies)
    assert "ERROR from" not in caplog.text


def acking_by_hand(seen: Seen) -> Handler:
    def handler(payload: Payload) -> None:
        payload.ack()
        seen.keep(payload)
        payload.ack()

    return handler


def test_the_words_of_an_error_are_kept_short(open_client: Callable[[], Client], destination: str) -> None:
    client = open_client()
    fields = {**client.dialect.send_headers(destination), **client.dialect.route(destination)}
    refused = client.session.request("SEND", {**fields, "x-long": "x" * 300_000}, b"too much")

    with pytest.raises(BrokerRefused, match="AMQ339011 Error sending message") as caught:
        refused.result(20)

    assert len(str(caught.value)) < 3_000
    assert len(client.wait_until_closed()) < 3_000


def test_heart_beats_are_sent_though_the_row_says_never(
    any_broker: TestBroker, proxy: Proxy, destination: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Artemis, "client_heartbeat_s", 0.5)
    broker = any_broker.broker_spec(endpoints=(proxy.endpoint,), heartbeat_send_s=0.0, heartbeat_receive_s=0.0)
    with running(broker, destination) as run:
        run.wait_running()
        before = proxy.counts.from_client
        until(lambda: proxy.counts.from_client >= before + 3, 20, "three heart-beats were written")


@pytest.mark.parametrize("kind", ["auto", "artemis"])
def test_who_it_is_is_found_out_before_heart_beats_are_agreed_on(
    any_broker: TestBroker, proxy: Proxy, destination: str, kind: str
) -> None:
    silent = any_broker.broker_spec(endpoints=(proxy.endpoint,), heartbeat_send_s=0.0, kind=kind)
    with running(silent, destination) as run:
        run.wait_running()

    assert proxy.connections == (2 if kind == "auto" else 1)


def consumer_of(broker: BrokerSpec, destination: str) -> ConsumerSpec:
    return ConsumerSpec(name="tested", broker=broker, destination=destination, handler="tests.handler")


class Held(Keep):
    """Work that settles nothing, and leaves at once."""

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        for delivery in batch:
            self.kept.append((dict(delivery.headers), delivery.body))
            delivery.settlement.leave(delivery)


class Refuses(Keep):
    """Work that can't be done so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._left = times

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        if self._left:
            self._left -= 1
            raise WorkFailed("the database is away")
        super().process(batch, dialect)

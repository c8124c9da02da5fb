"""A subscription ends in time from whatever it is doing, goes on after whatever befalls it, and says why it waits."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from stompconsole.brokers import Dialect
from stompconsole.delivery import runner as runner_module
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import AckMode, BrokerSpec, SubscriptionSpec, SubscriptionState
from stompconsole.errors import SessionClosed
from stompconsole.transport import resolving
from stompconsole.transport.session import Endpoint, Session
from tests.delivery.running import Keep, Seen, running, send
from tests.delivery.test_runner import declare_as_django_stomp_did
from tests.support.brokers import TestBroker
from tests.support.choosing import one_of_each_dialect
from tests.support.devbroker import running_devbroker
from tests.support.management import Management
from tests.support.proxy import Proxy
from tests.support.waiting import until
from tests.transport.scripted import ScriptedBroker, scripted_broker


def spec(endpoint: Endpoint, **fields: object) -> SubscriptionSpec:
    broker = BrokerSpec(name="tested", endpoints=(endpoint,), connect_timeout_s=1.0, receipt_timeout_s=5.0)
    defaults = {"name": "tested", "broker": broker, "destination": "/queue/a", "threads": 2, "prefetch": 10, "batch": 5}
    return SubscriptionSpec(**{"ack_mode": AckMode.CLIENT_INDIVIDUAL, **defaults, **fields})  # type: ignore[arg-type]


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("tested ")]


def end(runner: SubscriptionRunner, how: str) -> None:
    runner.drain() if how == "drain" else runner.abort("enough")


def patient(*endpoints: Endpoint) -> SubscriptionSpec:
    """A subscription whose connects may take long."""
    return spec(endpoints[0], broker=BrokerSpec(name="tested", endpoints=endpoints, connect_timeout_s=60.0))


@pytest.mark.parametrize("how", ["drain", "abort"])
def test_it_ends_at_once_while_connecting_whatever_the_limit_of_that_is(how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as standby:
        doors = [Endpoint(host="127.0.0.1", port=listener.getsockname()[1]) for listener in (silent, standby)]
        runner = SubscriptionRunner(patient(*doors), Keep(), Seen())
        runner.start()
        client, _ = silent.accept()
        with client:
            end(runner, how)
            assert runner.join(1)
            assert runner.status.state is SubscriptionState.STOPPED
        standby.settimeout(0.3)
        with pytest.raises(TimeoutError):
            standby.accept()
    until(lambda: not own_threads(), what="its threads have ended")


@pytest.mark.parametrize("how", ["drain", "abort"])
def test_it_ends_at_once_while_its_hosts_name_is_looked_up(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def look_up(host: str, port: int) -> list[resolving.Address]:
        asked.set()
        assert answer.wait(30)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(resolving, "_look_up", look_up)
    runner = SubscriptionRunner(patient(Endpoint(host="broker.test", port=61613)), Keep(), Seen())
    runner.start()
    assert asked.wait(5)
    end(runner, how)
    assert runner.join(1)
    answer.set()
    until(lambda: not own_threads(), what="its threads have ended")


@pytest.mark.parametrize("how", ["drain", "abort"])
def test_a_session_that_opens_after_the_end_was_asked_for_subscribes_to_nothing(how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint(host="127.0.0.1", port=listener.getsockname()[1])
        runner = SubscriptionRunner(spec(endpoint), Keep(), Seen())
        runner.start()
        client, _ = listener.accept()
        with client:
            client.settimeout(10)
            end(runner, how)
            client.sendall(b"CONNECTED\nversion:1.2\n\n\0")
            heard = b""
            while data := client.recv(65_536):
                heard += data
        assert runner.join(5)
    assert b"SUBSCRIBE" not in heard


@pytest.mark.parametrize("how", ["drain", "abort"])
def test_it_ends_while_it_waits_to_connect_again(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "FIRST_PAUSE_S", 60.0)
    seen = Seen()
    runner = SubscriptionRunner(spec(Endpoint(host="127.0.0.1", port=1)), Keep(), seen)
    runner.start()
    until(lambda: runner.status.state is SubscriptionState.BACKING_OFF, what="it backs off")
    end(runner, how)
    assert runner.join(3)
    until(lambda: not own_threads(), what="its threads have ended")


def test_it_ends_at_once_when_aborted_while_subscribing() -> None:
    with scripted_broker() as broker:
        runner = SubscriptionRunner(spec(broker.endpoint()), Keep(), Seen())
        runner.start()
        broker.peer().read_frame()
        runner.abort("enough")
        assert runner.join(3)
    assert (runner.status.state, runner.status.reason) == (SubscriptionState.STOPPED, "enough")


def test_a_drain_leaves_in_order_handlers_then_acks_then_unsubscribe_then_disconnect() -> None:
    with scripted_broker() as broker:
        begun, release = threading.Event(), threading.Event()

        class Later(Keep):
            """Settles on another thread, as a dead letter's receipt does."""

            def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
                begun.set()
                threading.Thread(target=self.settle, args=(batch, dialect)).start()

            def settle(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
                assert release.wait(10)
                super().process(batch, dialect)

        runner = SubscriptionRunner(spec(broker.endpoint(), threads=1), Later(), Seen())
        runner.start()
        peer = broker.peer()
        subscribe = peer.read_frame()
        peer.confirm(peer.receipt_of(subscribe))
        peer.message(subscription_of(subscribe), b"a")
        assert begun.wait(5)
        runner.drain()
        until(lambda: runner.status.state is SubscriptionState.DRAINING, what="it drains")
        peer.message(subscription_of(subscribe), b"late", ack="2")
        release.set()
        frames = [peer.read_frame() for _ in range(2)]
        peer.confirm(peer.receipt_of(frames[1]))
        frames.append(peer.read_frame())
        peer.confirm(peer.receipt_of(frames[2]))
        assert runner.join(5)
    assert [frame.split(b"\n")[0] for frame in frames] == [b"ACK", b"UNSUBSCRIBE", b"DISCONNECT"]
    assert frames[0] == b"ACK\nid:1\n\n"


def subscription_of(subscribe: bytes) -> str:
    (line,) = [line for line in subscribe.split(b"\n") if line.startswith(b"id:")]
    return line.removeprefix(b"id:").decode()


@pytest.mark.long
def test_a_broker_that_refuses_and_closes_is_not_stormed() -> None:
    with scripted_broker() as broker:
        seen = Seen()
        runner = SubscriptionRunner(spec(broker.endpoint()), Keep(), seen)
        runner.start()
        began, sessions = time.monotonic(), 0
        while time.monotonic() - began < 2.5:
            refuse(broker)
            sessions += 1
        runner.abort("enough")
        assert runner.join(5)
    assert sessions <= 6, "pauses of 0.25, 0.5, 1 s at the least"
    reasons = {reason for state, reason in seen.states if state is SubscriptionState.BACKING_OFF}
    assert all("no right" in reason for reason in reasons)


def refuse(broker: ScriptedBroker) -> None:
    peer = broker.peer()
    peer.read_frame()
    peer.send(b"ERROR\nmessage:no right\n\n\0")
    peer.close()


def test_the_end_of_a_session_that_is_told_late_does_not_shorten_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "FIRST_PAUSE_S", 60.0)
    with running_devbroker() as broker:
        runner = SubscriptionRunner(spec(Endpoint(host=broker.host, port=broker.port)), Keep(), Seen())
        runner.start()
        until(lambda: runner.status.state is SubscriptionState.RUNNING, what="it runs")
        broker.faults.cut_connections()
        until(lambda: runner.status.state is SubscriptionState.BACKING_OFF, what="it backs off")
        runner._wake.set()
        until(lambda: not runner._wake.is_set(), what="it has looked")
        assert runner.status.state is SubscriptionState.BACKING_OFF
        threading.Event().wait(0.2)
        assert broker.connections() == 0
        runner.drain()
        assert runner.join(5)


def test_a_bug_of_ours_is_told_and_does_not_end_the_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = runner_module.open_session, [RuntimeError("can't start new thread")]

    def failing(broker: BrokerSpec, **more: Any) -> Session:
        if failures:
            raise failures.pop()
        return real(broker, **more)

    monkeypatch.setattr(runner_module, "open_session", failing)
    with running_devbroker() as broker:
        seen = Seen()
        runner = SubscriptionRunner(spec(Endpoint(host=broker.host, port=broker.port)), Keep(), seen)
        runner.start()
        until(lambda: runner.status.state is SubscriptionState.RUNNING, what="it runs all the same")
        runner.drain()
        assert runner.join(5)
    assert "can't start new thread" in seen.states[0][1]


def test_a_host_name_that_can_not_be_is_told() -> None:
    runner = SubscriptionRunner(spec(Endpoint(host="a..b", port=1)), Keep(), Seen())
    runner.start()
    until(lambda: runner.status.state is SubscriptionState.BACKING_OFF, what="it backs off")
    assert "can't reach a..b" in runner.status.reason
    runner.drain()
    assert runner.join(5)


@pytest.mark.long
def test_busy_handlers_of_a_lost_session_hold_the_end_up_once_and_not_each(
    devbroker: TestBroker, destination: str
) -> None:
    release, begun = threading.Event(), threading.Semaphore(0)

    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            begun.release()
            assert release.wait(30)

        return handler

    send(devbroker.broker_spec(), destination, list(range(6)))
    with Proxy(devbroker.endpoint()) as proxy:
        through = devbroker.broker_spec(endpoints=(proxy.endpoint,))
        with running(through, destination, make, threads=6) as run:
            for _ in range(6):
                assert begun.acquire(timeout=10)
            proxy.refuse()
            until(lambda: run.runner.status.state is SubscriptionState.BACKING_OFF, what="the loss is noticed")
            began = time.monotonic()
            run.runner.drain()
            assert run.runner.join(10)
            assert time.monotonic() - began < 5
            release.set()


def test_what_piled_up_behind_a_busy_handler_is_let_go_with_its_session(
    devbroker: TestBroker, destination: str
) -> None:
    release, begun = threading.Event(), threading.Event()

    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            begun.set()
            assert release.wait(30)
            seen.keep(payload)

        return handler

    send(devbroker.broker_spec(), destination, list(range(20)))
    with Proxy(devbroker.endpoint()) as proxy:
        through = devbroker.broker_spec(endpoints=(proxy.endpoint,))
        with running(through, destination, make, prefetch=20, threads=1) as run:
            assert begun.wait(10)
            until(lambda: run.runner.status.in_flight == 20, what="all have arrived")
            proxy.refuse()
            until(lambda: run.runner.status.state is SubscriptionState.BACKING_OFF, what="the loss is noticed")
            assert run.runner._pipeline._inbox.empty()
            proxy.accept()
            release.set()
            run.seen.wait(21)


def test_a_dead_letter_is_not_sent_for_a_message_that_was_given_back(devbroker: TestBroker, destination: str) -> None:
    release, begun = threading.Event(), threading.Event()

    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            first = not seen.bodies
            seen.keep(payload)
            if first:
                begun.set()
                assert release.wait(30)
                raise KeyError("sku")

        return handler

    send(devbroker.broker_spec(), destination, ["a"])
    with Proxy(devbroker.endpoint()) as proxy:
        through = devbroker.broker_spec(endpoints=(proxy.endpoint,))
        with running(through, destination, make) as run:
            assert begun.wait(10)
            proxy.cut()
            until(lambda: len(run.seen.states) > 1, what="the loss is noticed")
            release.set()
            run.seen.wait(2)
            run.wait_settled()
            dead = devbroker.rig.running.depth(run.consumer.dead_letters)  # type: ignore[attr-defined]
    assert dead == 0, "it was handled in the end"


def test_a_queue_that_was_used_as_it_is_and_then_deleted_is_declared_again(
    rabbitmq: TestBroker, destination: str
) -> None:
    name = destination.removeprefix("/queue/")
    declare_as_django_stomp_did(rabbitmq, name)
    with running(rabbitmq.broker_spec(), destination) as run:
        until(lambda: f"/amq/queue/{name}" in run.runner.status.reason, 30, "it runs on the declared queue")
        with Management(rabbitmq) as management:
            management.delete(name)
        until(lambda: run.runner.status.reason == "", 60, "it runs on a queue of its own")
        until(lambda: run.runner.status.state is SubscriptionState.RUNNING, 30, "it runs")
        send(rabbitmq.broker_spec(), destination, ["a"])
        run.seen.wait(1)
        run.wait_settled()


@pytest.mark.long
@one_of_each_dialect
def test_a_frozen_broker_is_told_with_its_reason_and_left(any_broker: TestBroker, destination: str) -> None:
    with Proxy(any_broker.endpoint()) as proxy:
        through = any_broker.broker_spec(
            endpoints=(proxy.endpoint,), heartbeat_send_s=1.0, heartbeat_receive_s=1.0, connect_timeout_s=2.0
        )
        with running(through, destination) as run:
            run.wait_running()
            proxy.freeze()
            until(lambda: run.runner.status.state is SubscriptionState.BACKING_OFF, 15, "the silence is noticed")
            assert "silent" in run.seen.states[1][1]
            proxy.thaw()
            proxy.cut()
            send(any_broker.broker_spec(), destination, ["a"])
            run.seen.wait(1, timeout_s=30)


def test_nothing_is_written_on_a_session_that_has_ended(devbroker: TestBroker, destination: str) -> None:
    with running(devbroker.broker_spec(), destination) as run:
        run.wait_running()
        session = run.runner._session
        assert session is not None
        session.abort("cut")
        with pytest.raises(SessionClosed):
            session.write(b"\n")

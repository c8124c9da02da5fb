"""A subscription from SUBSCRIBE to its end, on each broker: nothing lost, nothing settled that is not done."""

from __future__ import annotations

import threading

import pytest

from stompconsole.delivery import envelope
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.specs import AckMode, RetryPolicy, SubscriptionState
from stompconsole.errors import Reject, Retry
from tests.delivery.running import Seen, held_on, is_empty, running, send, take_all, take_dead_letters
from tests.support.brokers import TestBroker
from tests.support.proxy import Proxy
from tests.support.waiting import until


@pytest.mark.parametrize("mode", list(AckMode))
def test_every_message_is_handled_once_in_each_ack_mode(
    any_broker: TestBroker, destination: str, mode: AckMode
) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, list(range(200)))
    with running(broker, destination, ack_mode=mode, prefetch=20) as run:
        run.seen.wait(200)
        run.wait_settled()
    assert sorted(run.seen.bodies) == list(range(200))
    assert run.seen.counts == {"received": 200, "acked": 200, "retried": 0, "dead_lettered": 0}
    assert is_empty(broker, destination)


def fails(error: BaseException) -> object:
    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            seen.keep(payload)
            raise error

        return handler

    return make


def test_a_failing_message_is_dead_lettered_with_its_failure_and_body(any_broker: TestBroker, destination: str) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, [{"sku": 1}], **{"x-tenant": "7", "correlation-id": "c-1"})
    with running(broker, destination, fails(KeyError("sku"))) as run:  # type: ignore[arg-type]
        run.seen.wait(1)
        run.wait_settled()
        [(headers, body)] = take_dead_letters(run.consumer, 1)
    assert body == b'{"sku": 1}'
    read = envelope.read(headers)
    assert read is not None
    assert (read.error_type, read.error_message, read.attempts) == ("KeyError", "'sku'", 1)
    assert (read.consumer, read.origin, read.worker) == ("tested", destination, "w:1")
    assert "test_runner.py" in read.traceback
    assert (headers["x-tenant"], headers["correlation-id"], headers["persistent"]) == ("7", "c-1", "true")


def test_a_message_is_tried_as_often_as_its_policy_says(any_broker: TestBroker, destination: str) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, ["a"])
    policy = RetryPolicy(max_attempts=3, first_delay_s=0.02, max_delay_s=0.05)
    with running(broker, destination, fails(ValueError("no")), retry=policy) as run:  # type: ignore[arg-type]
        run.seen.wait(3)
        run.wait_settled()
        [(headers, _)] = take_dead_letters(run.consumer, 1)
    assert headers[envelope.ATTEMPTS] == "3"
    assert run.seen.counts == {"received": 3, "acked": 0, "retried": 2, "dead_lettered": 1}


def test_a_message_that_succeeds_at_the_second_try_is_no_dead_letter(devbroker: TestBroker, destination: str) -> None:
    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            seen.keep(payload)
            if len(seen.bodies) == 1:
                raise Retry(after=0.01)

        return handler

    broker = devbroker.broker_spec()
    send(broker, destination, ["a"])
    with running(broker, destination, make) as run:
        run.seen.wait(2)
        run.wait_settled()
    assert run.seen.counts["dead_lettered"] == 0


@pytest.mark.parametrize("body", [b"not json", b"", b"\xff\xfe\x00", b"[" * 5_000])
def test_a_body_that_is_not_json_is_dead_lettered_once_and_never_loops(
    any_broker: TestBroker, destination: str, body: bytes
) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, [body, "next"], **{"content-type": "application/json"})
    with running(broker, destination) as run:
        run.seen.wait(1)
        [(headers, dead)] = take_dead_letters(run.consumer, 1)
        run.wait_settled()
    assert (dead, headers[envelope.ERROR_TYPE]) == (body, "UnreadableBody")
    assert run.seen.bodies == ["next"]


@pytest.mark.parametrize("error", [Reject("no such customer"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_a_handler_raises_its_thread_goes_on(
    devbroker: TestBroker, destination: str, error: BaseException
) -> None:
    broker = devbroker.broker_spec()
    send(broker, destination, ["a", "b"])
    with running(broker, destination, fails(error)) as run:  # type: ignore[arg-type]
        run.seen.wait(2)
        assert len(take_dead_letters(run.consumer, 2)) == 2


def by_hand(*calls: str, then: BaseException | None = None) -> object:
    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            seen.keep(payload)
            for call in calls:
                getattr(payload, call)()
            if then is not None:
                raise then

        return handler

    return make


def test_a_handler_that_acks_and_then_raises_has_its_message_acked(any_broker: TestBroker, destination: str) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, ["a", "b"])
    with running(broker, destination, by_hand("ack", "ack", "nack", then=KeyError("late"))) as run:  # type: ignore[arg-type]
        run.seen.wait(2)
        run.wait_settled()
        assert len(run.seen.states) == 1, "the session must not have been lost"
    assert run.seen.counts["dead_lettered"] == 0


def test_nack_by_hand_is_a_dead_letter_and_a_later_ack_says_nothing(any_broker: TestBroker, destination: str) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, ["a"])
    with running(broker, destination, by_hand("nack", "ack")) as run:  # type: ignore[arg-type]
        run.seen.wait(1)
        [(headers, _)] = take_dead_letters(run.consumer, 1)
    assert headers[envelope.ERROR_TYPE] == "nack"


def test_an_async_handler_is_awaited(devbroker: TestBroker, destination: str) -> None:
    def make(seen: Seen) -> Handler:
        async def handler(payload: Payload) -> None:
            seen.keep(payload)
            if payload.body == "bad":
                raise ValueError("bad")

        return handler

    broker = devbroker.broker_spec()
    send(broker, destination, ["good", "bad"])
    with running(broker, destination, make) as run:
        run.seen.wait(2)
        assert len(take_dead_letters(run.consumer, 1)) == 1
        run.wait_settled()
    assert run.seen.counts == {"received": 2, "acked": 1, "retried": 0, "dead_lettered": 1}


def test_a_missing_correlation_id_is_a_dead_letter_where_one_is_required(
    devbroker: TestBroker, destination: str
) -> None:
    broker = devbroker.broker_spec()
    send(broker, destination, ["without"])
    send(broker, destination, ["with"], **{"correlation-id": "c"})
    with running(broker, destination, correlation_id_required=True) as run:
        run.seen.wait(1)
        [(headers, _)] = take_dead_letters(run.consumer, 1)
    assert headers[envelope.ERROR_TYPE] == "MissingCorrelationId"
    assert run.seen.bodies == ["with"]


def test_handler_threads_work_side_by_side(devbroker: TestBroker, destination: str) -> None:
    together = threading.Barrier(4)

    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            together.wait(10)
            seen.keep(payload)

        return handler

    broker = devbroker.broker_spec()
    send(broker, destination, list(range(8)))
    with running(broker, destination, make, threads=4) as run:
        run.seen.wait(8)
        run.wait_settled()


@pytest.mark.long
def test_a_connection_cut_in_the_middle_loses_nothing(any_broker: TestBroker, proxy: Proxy, destination: str) -> None:
    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            seen.keep(payload)
            if len(seen.bodies) in {100, 300}:
                proxy.cut()

        return handler

    # Two kilobytes each: what a message is taken to weigh where a broker counts bytes.
    sent = [f"{number:2000}" for number in range(500)]
    send(any_broker.broker_spec(), destination, sent)
    through = any_broker.broker_spec(endpoints=(proxy.endpoint,))
    with running(through, destination, make, prefetch=20) as run:
        any_broker.until(lambda: set(run.seen.bodies) == set(sent), 30, "every message was handled")
        run.wait_settled()
    assert len(run.seen.bodies) - 500 <= 2 * 20, "at most what was prefetched comes twice"
    reasons = [reason for state, reason in run.seen.states if state is SubscriptionState.BACKING_OFF]
    assert len(reasons) >= 1
    assert all(reasons)


def test_a_restarted_broker_is_found_again_by_itself(any_broker: TestBroker, destination: str) -> None:
    broker = any_broker.broker_spec()
    with running(broker, destination) as run:
        run.wait_running()
        any_broker.restart()
        send(broker, destination, ["after"])
        run.seen.wait(1, timeout_s=60)
        run.wait_settled()
    assert run.seen.bodies == ["after"]


def test_a_wrong_password_is_told_in_the_brokers_words_and_tried_again(
    any_broker: TestBroker, destination: str
) -> None:
    broker = any_broker.broker_spec(login=any_broker.login(password="s3cret-but-wrong"))
    with running(broker, destination) as run:
        until(lambda: run.runner.status.state is SubscriptionState.BACKING_OFF, 20, "it backs off")
        assert "refused the login" in run.runner.status.reason
        assert "s3cret" not in run.runner.status.reason


def test_a_broker_that_is_down_is_waited_for(devbroker: TestBroker, destination: str) -> None:
    devbroker.stop()
    with running(devbroker.broker_spec(), destination) as run:
        until(lambda: run.runner.status.state is SubscriptionState.BACKING_OFF, 20, "it backs off")
        assert "can't reach" in run.runner.status.reason
        devbroker.start()
        run.wait_running()


def test_draining_finishes_what_is_in_a_handler_and_gives_the_rest_back(
    any_broker: TestBroker, destination: str
) -> None:
    release, begun = threading.Event(), threading.Event()
    broker = any_broker.broker_spec()
    send(broker, destination, list(range(30)))
    with running(broker, destination, held_on(release, begun, 0), prefetch=10, threads=2) as run:
        assert begun.wait(20)
        run.runner.drain()
        assert not run.runner.join(0.2), "it must wait for the handler"
        release.set()
        assert run.runner.join(15)
    assert 0 in run.seen.bodies
    rest = take_all(broker, destination, 30 - len(run.seen.bodies))
    assert sorted(run.seen.bodies + rest) == list(range(30)), "nothing lost, nothing twice"


def test_an_aborted_runner_ends_at_once_though_a_handler_still_runs(any_broker: TestBroker, destination: str) -> None:
    release, begun = threading.Event(), threading.Event()
    broker = any_broker.broker_spec()
    send(broker, destination, ["slow"])
    with running(broker, destination, held_on(release, begun, "slow")) as run:
        assert begun.wait(20)
        run.runner.abort("the lease ran out")
        assert run.runner.join(5)
        assert run.runner.status.reason == "the lease ran out"
        with running(broker, destination) as other:
            any_broker.until(lambda: other.seen.bodies, 20, "un-acked, it belongs to the next")
        assert other.seen.bodies == ["slow"]
        release.set()


def test_an_abort_while_draining_ends_the_wait(devbroker: TestBroker, destination: str) -> None:
    release, begun = threading.Event(), threading.Event()
    broker = devbroker.broker_spec()
    send(broker, destination, ["slow"])
    with running(broker, destination, held_on(release, begun, "slow")) as run:
        assert begun.wait(20)
        run.runner.drain()
        until(lambda: run.runner.status.state is SubscriptionState.DRAINING, 5, "it drains")
        run.runner.abort("too long")
        assert run.runner.join(5)
        release.set()


def test_the_ack_of_a_quick_message_does_not_wait_for_a_slow_one(any_broker: TestBroker, destination: str) -> None:
    release, begun = threading.Event(), threading.Event()
    broker = any_broker.broker_spec()
    send(broker, destination, ["quick", "slow"])
    with running(broker, destination, held_on(release, begun, "slow"), prefetch=10) as run:
        assert begun.wait(20)
        until(lambda: run.runner.status.in_flight == 1, 5, "the quick one is settled")
        # The frame follows the settlement by the linger; an abort then gives back the slow one alone.
        threading.Event().wait(0.2)
        run.runner.abort("look what is left")
        assert run.runner.join(5)
        assert take_all(broker, destination, 1) == ["slow"]
        release.set()


@pytest.mark.long
def test_a_dead_letter_that_is_not_confirmed_is_sent_again_and_its_message_kept_until_then(
    any_broker: TestBroker, proxy: Proxy, destination: str
) -> None:
    release, begun = threading.Event(), threading.Event()

    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            seen.keep(payload)
            begun.set()
            assert release.wait(30)
            raise KeyError("sku")

        return handler

    send(any_broker.broker_spec(), destination, ["a"])
    through = any_broker.broker_spec(
        endpoints=(proxy.endpoint,), receipt_timeout_s=0.5, heartbeat_send_s=0.0, heartbeat_receive_s=0.0
    )
    with running(through, destination, make) as run:
        run.senders.of(through).dialect()
        assert begun.wait(20)
        proxy.freeze()
        release.set()
        until(lambda: "does not confirm" in run.runner.status.reason, 10, "the page is told why")
        assert run.runner.status.in_flight == 1, "un-acked until its dead letter is confirmed"
        proxy.thaw()
        run.wait_settled()
        assert run.runner.status.reason == ""
    dead = take_dead_letters(run.consumer, 1)
    assert len({headers[envelope.FAILURE_ID] for headers, _ in dead}) == 1, "a second SEND is known by its failure id"


def test_a_queue_that_django_stomp_declared_is_used_as_it_is(rabbitmq: TestBroker, destination: str) -> None:
    name = destination.removeprefix("/queue/")
    declare_as_django_stomp_did(rabbitmq, name)
    broker = rabbitmq.broker_spec()
    with running(broker, destination, fails(KeyError("sku"))) as run:  # type: ignore[arg-type]
        until(lambda: run.runner.status.state is SubscriptionState.RUNNING, 30, "it runs on the declared queue")
        assert f"/amq/queue/{name}" in run.runner.status.reason
        send(broker, f"/amq/queue/{name}", ["a"])
        run.seen.wait(1)
        until(lambda: run.runner.status.in_flight == 0, 30, "dead-lettered into the declared queue")


def declare_as_django_stomp_did(rabbitmq: TestBroker, name: str) -> None:
    """The consumed queue and its DLQ with dead-letter arguments, as its SUBSCRIBE frames made them."""
    from stompconsole.delivery.connecting import open_session

    for queue, target in ((f"DLQ.{name}", f"DLQ.DLQ.{name}"), (name, f"DLQ.{name}")):
        session = open_session(rabbitmq.broker_spec())
        headers = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": target, "durable": "true"}
        headers |= {"auto-delete": "false", "x-queue-name": queue}
        session.subscribe("declare", f"/queue/{queue}", "client", headers, lambda frame: None).result(10)
        session.disconnect(5.0)

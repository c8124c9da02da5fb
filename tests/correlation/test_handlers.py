"""The id of a message while its handler runs: in its log lines, in what it publishes, in its threads; and not after."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from request_id_django_log.filters import RequestIDFilter

from stompconsole import Publisher, apublish, carry, correlation, publish
from stompconsole.correlation import CorrelationIdFilter
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.specs import BrokerSpec, RetryPolicy
from stompconsole.errors import Retry
from stompconsole.publishing import process_senders
from tests.deadletters.making import make_broker
from tests.delivery.running import Seen, running, send, take_dead_letters
from tests.support.brokers import TestBroker

logger = logging.getLogger("team")

ANSWERS = "/queue/answers"


@pytest.fixture
def broker(devbroker: TestBroker) -> BrokerSpec:
    return devbroker.broker_spec()


@pytest.fixture
def publisher(broker: BrokerSpec) -> Iterator[Publisher]:
    made = Publisher(broker)
    yield made
    made.close()


def ids_after(broker: BrokerSpec, destination: str, make: Callable[[Seen], Handler]) -> list[str]:
    """The ids of what was answered to the messages c-1 and c-2, in order."""
    for correlation_id in ("c-1", "c-2"):
        send(broker, destination, ["ask"], **{"correlation-id": correlation_id})
    with running(broker, destination, make) as run:
        run.seen.wait(2)
        run.wait_settled()
    with running(broker, ANSWERS) as answers:
        answers.seen.wait(2)
    return [payload.headers["correlation-id"] for payload in answers.seen.payloads]


def from_the_handler(answer: Callable[[], None]) -> None:
    answer()


def from_a_carried_thread(answer: Callable[[], None]) -> None:
    thread = threading.Thread(target=carry(answer))
    thread.start()
    thread.join(10)


def from_a_carried_pool(answer: Callable[[], None]) -> None:
    with ThreadPoolExecutor() as pool:
        pool.submit(carry(answer)).result(10)


@pytest.mark.parametrize("way", [from_the_handler, from_a_carried_thread, from_a_carried_pool])
def test_what_a_handler_sends_carries_the_id_of_its_message(
    broker: BrokerSpec, destination: str, publisher: Publisher, way: Callable[[Callable[[], None]], None]
) -> None:
    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            way(lambda: publisher.send("answer", ANSWERS))
            seen.keep(payload)

        return handler

    assert ids_after(broker, destination, make) == ["c-1", "c-2"]


async def from_the_coroutine(answer: Callable[[], None]) -> None:
    await asyncio.sleep(0)
    answer()


async def from_to_thread(answer: Callable[[], None]) -> None:
    await asyncio.to_thread(answer)


async def from_sync_to_async(answer: Callable[[], None]) -> None:
    await sync_to_async(answer)()


async def from_a_task(answer: Callable[[], None]) -> None:
    await asyncio.create_task(from_the_coroutine(answer))


async def from_an_executor(answer: Callable[[], None]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, carry(answer))


@pytest.mark.parametrize("way", [from_the_coroutine, from_to_thread, from_sync_to_async, from_a_task, from_an_executor])
def test_what_an_async_handler_sends_carries_the_id_of_its_message(
    broker: BrokerSpec, destination: str, publisher: Publisher, way: Callable[[Callable[[], None]], Awaitable[None]]
) -> None:
    def make(seen: Seen) -> Handler:
        async def handler(payload: Payload) -> None:
            await way(lambda: publisher.send("answer", ANSWERS))
            seen.keep(payload)

        return handler

    assert ids_after(broker, destination, make) == ["c-1", "c-2"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["publish", "apublish"])
def test_publish_carries_the_id_on(devbroker: TestBroker, destination: str, asynchronous: bool) -> None:
    row = make_broker(devbroker)

    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            publish(ANSWERS, "answer", broker=row.name)
            connections.close_all()
            seen.keep(payload)

        async def in_a_loop(payload: Payload) -> None:
            await apublish(ANSWERS, "answer", broker=row.name)
            await sync_to_async(connections.close_all)()
            seen.keep(payload)

        return in_a_loop if asynchronous else handler

    assert ids_after(row.spec(), destination, make) == ["c-1", "c-2"]
    process_senders().close(2.0)


def test_a_message_without_an_id_gets_one_that_its_handler_its_dead_letter_and_its_answers_share(
    broker: BrokerSpec, destination: str, publisher: Publisher
) -> None:
    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            publisher.send("answer", ANSWERS)
            seen.keep(payload)
            raise ValueError("no")

        return handler

    send(broker, destination, ["ask"])
    with running(broker, destination, make, correlation_id_required=False) as run:
        run.seen.wait(1)
        ((dead, _),) = take_dead_letters(run.consumer, 1)
    with running(broker, ANSWERS) as answers:
        answers.seen.wait(1)
    made = dead["correlation-id"]
    assert uuid.UUID(made)
    assert run.seen.payloads[0].headers["correlation-id"] == made
    assert answers.seen.payloads[0].headers["correlation-id"] == made


def test_a_message_that_must_have_an_id_is_not_given_one(broker: BrokerSpec, destination: str) -> None:
    """Replayed, its dead letter is still without."""
    send(broker, destination, ["ask"])
    with running(broker, destination, correlation_id_required=True) as run:
        ((dead, _),) = take_dead_letters(run.consumer, 1)
    assert "correlation-id" not in dead
    assert run.seen.bodies == []


class TestLogLines:
    @pytest.fixture(autouse=True)
    def _filters(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        caplog.set_level(logging.INFO)
        caplog.handler.addFilter(CorrelationIdFilter())
        yield
        caplog.handler.filters.clear()

    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_a_handlers_lines_show_the_id_of_its_message_and_lines_after_it_none(
        self, broker: BrokerSpec, destination: str, caplog: pytest.LogCaptureFixture, asynchronous: bool
    ) -> None:
        def make(seen: Seen) -> Handler:
            def handler(payload: Payload) -> None:
                logger.info("handling")
                carry(logger.info)("in a call")
                seen.keep(payload)

            async def in_a_loop(payload: Payload) -> None:
                logger.info("handling")
                await asyncio.to_thread(logger.info, "in a thread")
                seen.keep(payload)

            return in_a_loop if asynchronous else handler

        ids = ids_of_lines(broker, destination, make, caplog)
        assert ids == ["c-1", "c-1", "c-2", "c-2"]
        assert correlation.current() == ""

    def test_our_own_lines_about_a_message_show_its_id(
        self, broker: BrokerSpec, destination: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def make(seen: Seen) -> Handler:
            def handler(payload: Payload) -> None:
                seen.keep(payload)
                if len(seen.bodies) == 1:
                    raise Retry(after=0.0)
                payload.ack()
                payload.nack()
                raise ValueError("no")

            return handler

        send(broker, destination, ["ask"], **{"correlation-id": "c-1"})
        with running(broker, destination, make, retry=RetryPolicy(max_attempts=2, first_delay_s=0.0)) as run:
            run.seen.wait(2)
            run.wait_settled()
        ours = [record for record in caplog.records if record.name == "stompconsole.delivery.handling"]
        assert len(ours) == 3
        assert {record.correlation_id for record in ours} == {"c-1"}  # type: ignore[attr-defined]
        assert all(record.message_id and record.destination for record in ours)  # type: ignore[attr-defined]

    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_request_id_django_logs_own_filter_shows_it_too(
        self, broker: BrokerSpec, destination: str, asynchronous: bool
    ) -> None:
        shown: list[str] = []

        def note() -> None:
            record = logging.LogRecord("team", logging.INFO, __file__, 1, "a line", (), None)
            RequestIDFilter().filter(record)
            shown.append(record.request_id)  # type: ignore[attr-defined]

        def make(seen: Seen) -> Handler:
            def handler(payload: Payload) -> None:
                note()
                seen.keep(payload)

            async def in_a_loop(payload: Payload) -> None:
                await asyncio.sleep(0)
                handler(payload)

            return in_a_loop if asynchronous else handler

        for correlation_id in ("c-1", "c-2"):
            send(broker, destination, ["ask"], **{"correlation-id": correlation_id})
        with running(broker, destination, make) as run:
            run.seen.wait(2)
        assert shown == ["c-1", "c-2"]


def ids_of_lines(
    broker: BrokerSpec, destination: str, make: Callable[[Seen], Handler], caplog: pytest.LogCaptureFixture
) -> list[str]:
    """The ids that the team's log lines show for the messages c-1 and c-2."""
    for correlation_id in ("c-1", "c-2"):
        send(broker, destination, ["ask"], **{"correlation-id": correlation_id})
    with running(broker, destination, make) as run:
        run.seen.wait(2)
    return [record.correlation_id for record in caplog.records if record.name == "team"]  # type: ignore[attr-defined]

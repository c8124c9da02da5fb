"""``do_inside_transaction``: what is sent when the block ends, and what is not when it raises."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable

import pytest
from asgiref.sync import sync_to_async

from stompconsole import Publisher, auto_open_close_connection, do_inside_transaction
from stompconsole.errors import BrokerRefused, ConfigurationError, ConnectFailed, ReceiptTimeout
from tests.publishing.conftest import QUEUE
from tests.support.devbroker import RunningDevBroker


class Undone(Exception):
    """What a user's block raises."""


def sent(wire: RunningDevBroker) -> list[object]:
    return [json.loads(body) for body in wire.bodies(QUEUE)]


def fail(publisher: Publisher, what: Callable[[], None]) -> None:
    with publisher.do_inside_transaction():
        what()
        raise Undone


def test_nothing_is_sent_before_the_block_ends_and_everything_then(
    wire: RunningDevBroker, publisher: Publisher
) -> None:
    with publisher.do_inside_transaction() as given:
        assert given is publisher
        for number in range(3):
            publisher.send(number, QUEUE)
        assert sent(wire) == []
    assert sent(wire) == [0, 1, 2]
    publisher.send("after", QUEUE)
    assert sent(wire) == [0, 1, 2, "after"]


def test_the_two_functions_together_are_as_their_users_write_them(wire: RunningDevBroker, publisher: Publisher) -> None:
    with auto_open_close_connection(publisher), do_inside_transaction(publisher):
        publisher.send(queue=QUEUE, body=1)
        publisher.send(queue=QUEUE, body=2)
        assert sent(wire) == []
    assert sent(wire) == [1, 2]
    assert not publisher.is_open()


def test_nothing_is_sent_when_the_block_raises_and_its_exception_is_what_is_seen(
    wire: RunningDevBroker, publisher: Publisher
) -> None:
    def lose_the_broker() -> None:
        publisher.send(1, QUEUE)
        wire.stop()

    with pytest.raises(Undone):
        fail(publisher, lose_the_broker)
    wire.start()
    assert sent(wire) == []


def test_a_block_inside_another_is_part_of_it(wire: RunningDevBroker, publisher: Publisher) -> None:
    with publisher.do_inside_transaction():
        publisher.send(1, QUEUE)
        with do_inside_transaction(publisher):
            publisher.send(2, QUEUE)
        assert sent(wire) == []
        publisher.send(3, QUEUE)
        assert sent(wire) == []
    assert sent(wire) == [1, 2, 3]


def test_the_outer_block_takes_the_inner_one_with_it(wire: RunningDevBroker, publisher: Publisher) -> None:
    def inner() -> None:
        with publisher.do_inside_transaction():
            publisher.send(1, QUEUE)

    with pytest.raises(Undone):
        fail(publisher, inner)
    assert sent(wire) == []


def test_an_inner_block_that_raised_is_left_out(wire: RunningDevBroker, publisher: Publisher) -> None:
    with publisher.do_inside_transaction():
        publisher.send(1, QUEUE)
        with pytest.raises(Undone):
            fail(publisher, lambda: publisher.send("no", QUEUE))
        publisher.send(2, QUEUE)
    assert sent(wire) == [1, 2]


def test_publishers_have_blocks_of_their_own(wire: RunningDevBroker, make_publisher: Callable[..., Publisher]) -> None:
    one, other = make_publisher(), make_publisher()
    with one.do_inside_transaction():
        one.send("held", QUEUE)
        other.send("at once", QUEUE)
        assert sent(wire) == ["at once"]
        with other.do_inside_transaction():
            other.send("of the inner block", QUEUE)
            one.send("held as well", QUEUE)
        assert sent(wire) == ["at once", "of the inner block"]
    assert sent(wire) == ["at once", "of the inner block", "held", "held as well"]


def test_threads_have_blocks_of_their_own(wire: RunningDevBroker, publisher: Publisher) -> None:
    def elsewhere(what: Callable[[], None]) -> None:
        thread = threading.Thread(target=what)
        thread.start()
        thread.join(10)

    def block() -> None:
        with publisher.do_inside_transaction():
            publisher.send("of the thread's block", QUEUE)

    with publisher.do_inside_transaction():
        publisher.send("held", QUEUE)
        elsewhere(lambda: publisher.send("at once", QUEUE))
        elsewhere(block)
        assert sent(wire) == ["at once", "of the thread's block"]
    assert sent(wire)[-1] == "held"


def test_what_a_block_does_in_threads_of_asyncio_belongs_to_it(wire: RunningDevBroker, publisher: Publisher) -> None:
    async def work() -> None:
        with publisher.do_inside_transaction():
            await asyncio.to_thread(publisher.send, 1, QUEUE)
            await sync_to_async(publisher.send)(2, QUEUE)
            await asyncio.gather(*(asyncio.to_thread(publisher.send, 3, QUEUE) for _ in range(5)))
            assert sent(wire) == []

    asyncio.run(work())
    assert sent(wire) == [1, 2, 3, 3, 3, 3, 3]


def test_two_tasks_have_blocks_of_their_own(wire: RunningDevBroker, publisher: Publisher) -> None:
    async def work() -> None:
        ended = asyncio.Event()

        async def fails() -> None:
            with pytest.raises(Undone):
                fail(publisher, lambda: publisher.send("no", QUEUE))
            ended.set()

        async def succeeds() -> None:
            with publisher.do_inside_transaction():
                publisher.send("yes", QUEUE)
                await ended.wait()

        await asyncio.gather(succeeds(), fails())

    asyncio.run(work())
    assert sent(wire) == ["yes"]


def test_a_send_that_comes_after_the_end_of_its_block_is_not_lost_without_a_word(
    wire: RunningDevBroker, publisher: Publisher
) -> None:
    async def work() -> None:
        begun, go_on = threading.Event(), threading.Event()

        def late() -> None:
            begun.set()
            assert go_on.wait(10)
            publisher.send("too late", QUEUE)

        with publisher.do_inside_transaction():
            task = asyncio.create_task(asyncio.to_thread(late))
            await asyncio.to_thread(begun.wait, 10)
        go_on.set()
        with pytest.raises(ConfigurationError, match="block that has ended"):
            await task

    asyncio.run(work())
    assert sent(wire) == []


def test_they_go_out_one_behind_the_other(
    wire: RunningDevBroker, publisher: Publisher, awaited_at_once: list[int]
) -> None:
    with publisher.do_inside_transaction():
        for number in range(4):
            publisher.send(number, QUEUE)
    assert awaited_at_once == [1, 3, 2, 1]
    assert sent(wire) == [0, 1, 2, 3]


@pytest.mark.long
def test_a_broker_that_is_blocked_raises_and_says_how_many_were_confirmed(
    wire: RunningDevBroker, publisher: Publisher
) -> None:
    def block() -> None:
        with publisher.do_inside_transaction():
            publisher.send(1, QUEUE)
            publisher.send(2, "/queue/full")
            wire.faults.block_sends("/queue/full")

    with pytest.raises(ReceiptTimeout, match="1 of 2 messages were confirmed"):
        block()


def test_a_refused_message_raises_and_is_tried_once(wire: RunningDevBroker, publisher: Publisher) -> None:
    wire.faults.refuse_sends("not yours", "/queue/forbidden")

    def block() -> None:
        with publisher.do_inside_transaction():
            publisher.send(1, QUEUE)
            publisher.send(2, "/queue/forbidden", attempt=5)

    with pytest.raises(BrokerRefused, match="1 of 2 messages were confirmed, then: not yours"):
        block()
    lines = [line for lines in wire.transcripts().values() for line in lines]
    assert [line.command for line in lines].count("SEND") == 2


def test_a_broker_that_is_away_is_told_before_the_block(wire: RunningDevBroker, publisher: Publisher) -> None:
    wire.stop()
    with pytest.raises(ConnectFailed), publisher.do_inside_transaction():
        raise AssertionError("the block is not entered")


def test_what_can_t_be_sent_fails_in_the_call(wire: RunningDevBroker, publisher: Publisher) -> None:
    with publisher.do_inside_transaction():
        publisher.send(1, QUEUE)
        with pytest.raises(ConfigurationError):
            publisher.send(2, "")
    assert sent(wire) == [1]


def test_a_block_without_messages_sends_nothing(wire: RunningDevBroker, publisher: Publisher) -> None:
    with publisher.do_inside_transaction():
        pass
    assert wire.destinations() == []

"""A client that does not read costs a bounded amount of memory, and nobody else any time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.devbroker import RunningDevBroker
from tests.support.rawstomp import RawClient, encode
from tests.support.waiting import until

QUEUE = "/queue/a"
LARGE = b"x" * 10_000


def settled_depth(broker: RunningDevBroker, busy: RawClient) -> int:
    """The depth of the queue once it changes no more, while another client is served."""
    seen: list[int] = []

    def stands_still() -> bool:
        busy.messages_so_far()
        seen.append(broker.depth(QUEUE))
        return len(seen) > 10 and len(set(seen[-10:])) == 1

    until(stands_still, what="the depth stands still")
    return seen[-1]


@contextmanager
def in_background(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.long
def test_a_subscriber_that_does_not_read_gets_only_so_much(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, *([LARGE] * 5_000))
    with broker.client(version) as slow, broker.client(version) as busy:
        slow.send_frame("SUBSCRIBE", {"id": "s", "destination": QUEUE})
        assert settled_depth(broker, busy) > 3_000

        busy.done("SUBSCRIBE", {"id": "s", "destination": "/queue/b"})
        busy.done("SEND", {"destination": "/queue/b"}, b"quick")
        assert busy.read_frame().body == b"quick"

        slow.done("UNSUBSCRIBE", {"id": "s"})
        delivered = len(slow.messages_so_far())
        assert delivered + broker.depth(QUEUE) == 5_000


def test_a_subscriber_that_reads_again_gets_the_rest(broker: RunningDevBroker) -> None:
    broker.send(QUEUE, *(b"%d" % number + LARGE for number in range(2_000)))
    with broker.client() as slow, broker.client() as busy:
        slow.send_frame("SUBSCRIBE", {"id": "s", "destination": QUEUE})
        assert settled_depth(broker, busy) > 0
        bodies = [message.body for message in slow.read_frames(2_000)]

    assert bodies == [b"%d" % number + LARGE for number in range(2_000)]


@pytest.mark.long
def test_two_subscribers_of_one_queue_do_not_wait_for_each_other(broker: RunningDevBroker) -> None:
    with broker.client() as slow, broker.client() as quick:
        for client in (slow, quick):
            client.done("SUBSCRIBE", {"id": "s", "destination": QUEUE})
        broker.send(QUEUE, *([LARGE] * 4_000))
        got = 0
        while broker.depth(QUEUE):
            got += len(quick.messages_so_far())

    assert got > 2_000


@pytest.mark.long
def test_a_client_that_reads_no_receipts_is_not_read_from(broker: RunningDevBroker) -> None:
    count, receipt = 20_000, "r" * 2_000
    frames = encode("SEND", {"destination": QUEUE, "receipt": receipt}) * count
    with broker.client() as flooding, broker.client() as busy:
        flooding.timeout_s = 20
        with in_background(lambda: flooding.send_bytes(frames)):
            until(lambda: broker.depth(QUEUE) > 0, what="the first is there")
            assert settled_depth(broker, busy) < count
            answers = flooding.read_frames(count)

    assert {answer["receipt-id"] for answer in answers} == {receipt}
    assert broker.depth(QUEUE) == count

"""Subscriptions, ack modes and prefetch mean the same on every broker."""

from __future__ import annotations

from collections.abc import Callable

from tests.contract.client import Client

OpenClient = Callable[..., Client]

FIVE = [b"1", b"2", b"3", b"4", b"5"]


def test_a_subscription_gets_what_was_sent_in_order(client: Client, destination: str) -> None:
    client.send(destination, *FIVE)

    inbox = client.subscribe(destination)

    assert [frame.body for frame in inbox.wait(5)] == FIVE
    assert {frame.headers["destination"] for frame in inbox.wait(5)} == {destination}


def test_a_subscription_gets_what_is_sent_later(client: Client, destination: str) -> None:
    inbox = client.subscribe(destination)

    client.send(destination, b"later")

    assert inbox.wait(1)[0].body == b"later"


def test_subscriptions_of_one_session_are_told_apart(client: Client, destination: str) -> None:
    first = client.subscribe(f"{destination}.a")
    second = client.subscribe(f"{destination}.b")

    client.send(f"{destination}.a", b"for a")
    client.send(f"{destination}.b", b"for b")

    assert [frame.body for frame in first.wait(1)] == [b"for a"]
    assert [frame.body for frame in second.wait(1)] == [b"for b"]


def test_every_subscriber_of_a_topic_gets_a_copy(client: Client, open_client: OpenClient, destination: str) -> None:
    topic = destination.replace("/queue/", "/topic/")
    inboxes = [client.subscribe(topic, ack="auto"), open_client().subscribe(topic, ack="auto")]

    client.send(topic, b"news")

    assert [inbox.wait(1)[0].body for inbox in inboxes] == [b"news", b"news"]


def test_nothing_comes_after_unsubscribe(client: Client, destination: str) -> None:
    inbox = client.subscribe(destination)

    client.session.unsubscribe("s1", {}).result(10)
    client.send(destination, b"for nobody")
    client.wait_until_nothing_comes()

    assert len(inbox) == 0


def test_auto_settles_what_is_handed_out(open_client: OpenClient, destination: str) -> None:
    taker, other = open_client(), open_client()
    taker.send(destination, *FIVE)
    taker.subscribe(destination, ack="auto").wait(5)

    taker.session.abort("gone without an ack")

    assert other.bodies_left(destination, 0) == []


def test_client_ack_settles_everything_up_to_it(open_client: OpenClient, destination: str) -> None:
    taker, other = open_client(), open_client()
    taker.send(destination, *FIVE)
    messages = taker.subscribe(destination, ack="client").wait(5)

    taker.ack(messages[2])
    taker.disconnect()

    assert other.bodies_left(destination, 2) == [b"4", b"5"]


def test_client_individual_ack_settles_that_message_alone(open_client: OpenClient, destination: str) -> None:
    taker, other = open_client(), open_client()
    taker.send(destination, *FIVE)
    messages = taker.subscribe(destination).wait(5)

    taker.ack(messages[1], messages[3])
    taker.disconnect()

    assert other.bodies_left(destination, 3) == [b"1", b"3", b"5"]


def test_many_acks_in_one_write_all_count(open_client: OpenClient, destination: str) -> None:
    taker, other = open_client(), open_client()
    taker.send(destination, *FIVE)
    messages = taker.subscribe(destination).wait(5)

    taker.ack_in_one_write(messages[:4])
    taker.disconnect()

    assert other.bodies_left(destination, 1) == [b"5"]


def test_what_was_not_acked_comes_again_and_says_so(open_client: OpenClient, destination: str) -> None:
    taker, other = open_client(), open_client()
    taker.send(destination, b"again")
    first = taker.subscribe(destination).wait(1)[0]

    taker.disconnect()

    second = other.subscribe(destination).wait(1)[0]
    assert first.headers.get("redelivered", "false") == "false"
    assert (second.body, second.headers["redelivered"]) == (b"again", "true")


def test_no_more_are_handed_out_than_the_prefetch(client: Client, destination: str) -> None:
    # Two kilobytes each: what a message is taken to weigh where a broker counts bytes.
    client.send(destination, *(body * 2_000 for body in FIVE))
    inbox = client.subscribe(destination, prefetch=2)
    messages = inbox.wait(2)

    client.wait_until_nothing_comes()
    assert len(inbox) == 2

    client.ack(messages[0])
    inbox.wait(3)
    client.wait_until_nothing_comes()
    assert len(inbox) == 3


def test_two_subscribers_with_a_prefetch_of_one_share_a_queue(open_client: OpenClient, destination: str) -> None:
    first, second = open_client(), open_client()
    inboxes = [first.subscribe(destination, prefetch=1), second.subscribe(destination, prefetch=1)]

    first.send(destination, b"one", b"other")

    assert {inbox.wait(1)[0].body for inbox in inboxes} == {b"one", b"other"}

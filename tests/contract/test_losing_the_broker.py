"""Nothing that was confirmed is lost when a connection is cut or the broker goes, whichever broker it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.client import Client, Inbox
from tests.support.brokers import TestBroker
from tests.support.proxy import Proxy

OpenClient = Callable[..., Client]

TWENTY = [b"%02d" % number for number in range(20)]


def test_what_was_not_acked_comes_back_after_a_cut(
    any_broker: TestBroker, open_client: OpenClient, proxy: Proxy, destination: str
) -> None:
    taker, other = open_client(proxy.endpoint), open_client()
    other.send(destination, *TWENTY)
    messages = taker.subscribe(destination, prefetch=10).wait(10)
    taker.ack(*messages[:3])
    taken = [message.body for message in messages[:3]]

    proxy.cut()
    taker.wait_until_closed()

    assert sorted(taken + left_behind(any_broker, open_client, destination, 17)) == TWENTY


@pytest.mark.long
def test_what_a_silent_client_held_comes_back(
    any_broker: TestBroker, open_client: OpenClient, proxy: Proxy, destination: str
) -> None:
    taker, other = open_client(proxy.endpoint, heartbeat_s=(1.0, 1.0)), open_client()
    other.send(destination, b"held")
    taker.subscribe(destination).wait(1)

    proxy.freeze()

    assert left_behind(any_broker, open_client, destination, 1) == [b"held"]


def test_confirmed_messages_outlive_a_restart_of_the_broker(
    any_broker: TestBroker, open_client: OpenClient, destination: str
) -> None:
    before = open_client()
    before.send(destination, *TWENTY)
    before.ack(*before.subscribe(destination).wait(20)[:5])

    any_broker.restart()

    assert before.wait_until_closed()
    assert open_client().bodies_left(destination, 15) == TWENTY[5:]


def test_a_broker_that_was_killed_ends_the_session_takes_a_new_one_and_has_what_it_confirmed(
    any_broker: TestBroker, open_client: OpenClient, destination: str
) -> None:
    before = open_client()
    before.send(destination, *TWENTY)

    any_broker.kill()
    assert before.wait_until_closed()
    any_broker.start()

    after = open_client()
    after.send(destination, b"new")
    assert after.bodies_left(destination, 21) == [*TWENTY, b"new"]


def left_behind(any_broker: TestBroker, open_client: OpenClient, destination: str, count: int) -> list[bytes]:
    """What a connection that was cut has left in a queue: ``count`` messages are waited for, and more would be seen."""
    clients: list[Client] = []
    inboxes: list[Inbox] = []

    def are_all_there() -> bool:
        if not clients or clients[-1].session.close_reason is not None:
            clients.append(open_client())
            inboxes.append(clients[-1].subscribe(destination, ack="auto"))
        return sum(map(len, inboxes)) >= count

    any_broker.until(are_all_there, 20, f"{count} messages are left")
    clients[-1].wait_until_nothing_comes()
    return [body for inbox in inboxes for body in inbox.bodies()]

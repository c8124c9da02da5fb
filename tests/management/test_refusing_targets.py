"""``move_messages`` to a target of RabbitMQ that takes nothing: it ends with the reason, or waits for it to be over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from django.core.management import CommandError
from django.test import override_settings

from stompconsole.management.commands.move_messages import Command
from tests.management.calling import called, calling
from tests.management.queues import bodies, fill, numbered, settings_of, unused
from tests.support.blockades import memory_alarm
from tests.support.brokers import TestBroker

pytestmark = pytest.mark.slow

NAME = "move_messages"
COUNT = 50


@pytest.fixture
def api(rabbitmq: TestBroker) -> Iterator[httpx.Client]:
    """The management API."""
    login = (rabbitmq.user, rabbitmq.password)
    with httpx.Client(base_url=f"{rabbitmq.management}/api", auth=login, timeout=10.0) as client:
        yield client


@contextmanager
def full_after(api: httpx.Client, destination: str, count: int) -> Iterator[None]:
    """A queue that takes no more than so many messages."""
    name = destination.removeprefix("/queue/")
    policy = {"pattern": f"^{name}$", "definition": {"max-length": count, "overflow": "reject-publish"}}
    api.put(f"/policies/%2F/{name}", json=policy).raise_for_status()
    try:
        yield
    finally:
        api.delete(f"/policies/%2F/{name}").raise_for_status()


@contextmanager
def user_of(api: httpx.Client, destination: str) -> Iterator[dict[str, str]]:
    """The login of somebody who may declare one queue only."""
    rights = {"configure": destination.removeprefix("/queue/"), "write": ".*", "read": ".*"}
    api.put("/users/limited", json={"password": "secret", "tags": ""}).raise_for_status()
    api.put("/permissions/%2F/limited", json=rights).raise_for_status()
    try:
        yield {"STOMP_SERVER_USER": "limited", "STOMP_SERVER_PASSWORD": "secret"}
    finally:
        api.delete("/users/limited").raise_for_status()


def test_a_target_that_may_not_be_written_is_named(rabbitmq: TestBroker, api: httpx.Client) -> None:
    source, target = unused("source"), unused("target")
    fill(rabbitmq, source, numbered(COUNT))
    with (
        user_of(api, source) as user,
        override_settings(**settings_of(rabbitmq, **user)),
        pytest.raises(CommandError, match=f"(?s){target}.*refused for user 'limited'"),
    ):
        called(NAME, source, target, until_empty=True)
    assert bodies(rabbitmq, source) == numbered(COUNT)


def test_a_source_that_may_not_be_read_is_named(rabbitmq: TestBroker, api: httpx.Client) -> None:
    source, target = unused("source"), unused("target")
    fill(rabbitmq, source, numbered(COUNT))
    with (
        user_of(api, target) as user,
        override_settings(**settings_of(rabbitmq, **user)),
        pytest.raises(CommandError, match=f"(?s)SUBSCRIBE {source}.*refused for user 'limited'"),
    ):
        called(NAME, source, target)
    assert bodies(rabbitmq, source) == numbered(COUNT)


def test_a_full_target_ends_it_and_what_it_did_not_take_is_in_the_source(
    rabbitmq: TestBroker, api: httpx.Client
) -> None:
    source, target = unused("source"), unused("target")
    fill(rabbitmq, source, numbered(COUNT))
    lead = settings_of(rabbitmq, STOMP_WAIT_TO_CONNECT="0.2")
    with full_after(api, target, 10), override_settings(**lead):
        with pytest.raises(CommandError, match="is it full"):
            called(NAME, source, target, until_empty=True)
        moved = bodies_without_a_mark(rabbitmq, target)
    left = bodies(rabbitmq, source)
    assert len(moved) == 10
    assert set(moved) | set(left) == set(numbered(COUNT))
    assert len(left) >= COUNT - 10


def bodies_without_a_mark(broker: TestBroker, destination: str) -> list[bytes]:
    """Those of a queue that takes no mark: they are moved to one that does."""
    elsewhere = unused("read")
    called(NAME, destination, elsewhere, until_empty=True)
    return bodies(broker, elsewhere)


def test_an_alarm_is_waited_out_and_each_message_is_there_once(rabbitmq: TestBroker) -> None:
    source, target = unused("source"), unused("target")
    fill(rabbitmq, source, numbered(COUNT))
    alarm = memory_alarm(rabbitmq)
    try:
        alarm.block()
        with override_settings(**settings_of(rabbitmq)), calling(Command(), source, target, limit=COUNT) as running:
            running.wait_for("the broker does not confirm", 40)
            alarm.clear()
            said = running.wait(60)
    finally:
        alarm.clear()
    assert "That is over, it goes on." in said
    assert bodies(rabbitmq, target) == numbered(COUNT)
    assert bodies(rabbitmq, source) == []

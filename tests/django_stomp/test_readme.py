"""What django-stomp's README promises holds here in the same words: its handler, its command, its settings."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from django.test import override_settings

from stompconsole.conf import STOMP_SETTING_NAMES, settings_now
from stompconsole.errors import ConfigurationError
from tests.django_stomp.scene import Scene, bodies, heard_first
from tests.support.processes import ManagedProcess

EXAMPLE = """\
import logging

from django_stomp.services.consumer import Payload

logger = logging.getLogger(__name__)


def my_honest_logic(payload: Payload) -> None:
    logger.info("Yeah, I received a payload from django-stomp!")

    my_payload = payload.body
    my_header = payload.headers

    if my_payload.get("my-dict-key"):
        payload.ack()
    else:
        logger.info("To DLQ!")
        payload.nack()
"""
"""The handler of the README, ``app/sample.py``."""

ONE_IMPORT = ("from django_stomp.services.consumer import Payload", "from stompconsole import Payload")
"""What a team changes in it."""

SETTINGS = {
    "STOMP_SERVER_HOST": "broker.example",
    "STOMP_SERVER_PORT": 61614,
    "STOMP_SERVER_USER": "me",
    "STOMP_SERVER_PASSWORD": "secret",
    "STOMP_USE_SSL": True,
    "STOMP_SERVER_STANDBY_HOST": "standby.example",
    "STOMP_SERVER_STANDBY_PORT": 61614,
    "STOMP_SERVER_VHOST": "shop",
    "STOMP_SUBSCRIPTION_ID": "orders",
    "STOMP_OUTGOING_HEARTBEAT": 5000,
    "STOMP_INCOMING_HEARTBEAT": 5000,
    "STOMP_WAIT_TO_CONNECT": 5,
    "STOMP_DURABLE_TOPIC_SUBSCRIPTION": True,
    "STOMP_LISTENER_CLIENT_ID": "my-app",
    "STOMP_CORRELATION_ID_REQUIRED": False,
    "STOMP_PROCESS_MSG_ON_BACKGROUND": True,
    "STOMP_PROCESS_MSG_WORKERS": 4,
    "STOMP_GRACEFUL_WAIT_SECONDS": 20,
}
"""Every setting of the README, in its order, with a value."""

FIELDS = {
    "STOMP_USE_SSL": "use_ssl",
    "STOMP_DURABLE_TOPIC_SUBSCRIPTION": "durable_topic_subscription",
    "STOMP_CORRELATION_ID_REQUIRED": "correlation_id_required",
    "STOMP_PROCESS_MSG_ON_BACKGROUND": "process_on_background",
}
YES = (True, "true", 1, "T", "t", "Y", "y")
NO = (False, "false", 0, "F", "f", "N", "n")
"""The words of the README."""


@pytest.mark.slow
def test_the_handler_of_the_readme_works_with_one_import_changed(rabbit: Scene) -> None:
    app = rabbit.folder / "app"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "sample.py").write_text(EXAMPLE.replace(*ONE_IMPORT))
    rabbit.send({"my-dict-key": "there"}, {"another": "key"})
    process = with_the_three_settings(rabbit, "pubsub", rabbit.queue, "app.sample.my_honest_logic")
    process.wait_for_line("To DLQ!")
    assert bodies(rabbit.left(rabbit.dead_letters, 1)) == [{"another": "key"}]
    assert process.text().count("Yeah, I received a payload from django-stomp!") == 2
    assert process.terminate() == 0
    assert rabbit.left(rabbit.queue, 0) == []


def with_the_three_settings(scene: Scene, *arguments: str) -> ManagedProcess:
    """The command line of the README, with host, port and TLS given and nothing else: RabbitMQ has a guest."""
    login = {"STOMP_SERVER_USER": "", "STOMP_SERVER_PASSWORD": ""}
    return scene.command(*arguments, STOMP_USE_SSL="False", PYTHONPATH=str(scene.folder), **login)


def test_each_setting_of_the_readme_is_read() -> None:
    assert set(SETTINGS) - set(STOMP_SETTING_NAMES) == set()
    with override_settings(**SETTINGS):
        stomp = settings_now().stomp
        assert stomp is not None
        assert (stomp.host, stomp.port, stomp.use_ssl) == ("broker.example", 61614, True)
        assert (stomp.user, stomp.password, stomp.vhost) == ("me", "secret", "shop")
        assert (stomp.standby_host, stomp.standby_port) == ("standby.example", 61614)
        assert (stomp.outgoing_heartbeat_ms, stomp.incoming_heartbeat_ms) == (5_000, 5_000)
        assert (stomp.subscription_id, stomp.listener_client_id) == ("orders", "my-app")
        assert (stomp.wait_to_connect_s, stomp.process_workers, settings_now().graceful_wait_s) == (5.0, 4, 20.0)
        assert stomp.durable_topic_subscription
        assert stomp.process_on_background
        assert not stomp.correlation_id_required


def test_the_defaults_are_those_of_the_readme() -> None:
    with override_settings(STOMP_SERVER_HOST="broker.example"):
        stomp = settings_now().stomp
        assert stomp is not None
        assert (stomp.outgoing_heartbeat_ms, stomp.incoming_heartbeat_ms) == (10_000, 10_000)
        assert stomp.correlation_id_required
        assert settings_now().graceful_wait_s == 30


@pytest.mark.parametrize("name", FIELDS)
def test_yes_and_no_may_be_said_as_in_the_readme(name: str) -> None:
    for words, meant in ((YES, True), (NO, False)):
        for word in words:
            with override_settings(STOMP_SERVER_HOST="broker.example", **{name: word}):
                assert getattr(settings_now().stomp, FIELDS[name]) is meant, word


@pytest.mark.parametrize("name", ["STOMP_PROCESS_MSG_WORKERS", "STOMP_GRACEFUL_WAIT_SECONDS"])
def test_what_must_be_an_integer_is_one_or_is_named(name: str) -> None:
    with override_settings(STOMP_SERVER_HOST="broker.example", **{name: "7"}):
        settings_now()
    wrong = override_settings(STOMP_SERVER_HOST="broker.example", **{name: "seven"})
    with wrong, pytest.raises(ConfigurationError, match=name):
        settings_now()


@pytest.mark.slow
def test_what_is_said_at_connect_is_what_the_settings_say(rabbit: Scene, listener: socket.socket) -> None:
    host, port = listener.getsockname()
    connection = {
        "STOMP_SERVER_HOST": host,
        "STOMP_SERVER_PORT": str(port),
        "STOMP_SERVER_USER": "me",
        "STOMP_SERVER_PASSWORD": "secret",
        "STOMP_SERVER_VHOST": "shop",
        "STOMP_OUTGOING_HEARTBEAT": "0",
        "STOMP_INCOMING_HEARTBEAT": "4000",
        "STOMP_LISTENER_CLIENT_ID": "my-app",
    }
    rabbit.pubsub("take", **connection)
    said = heard_first(listener).decode()
    for line in ("login:me", "passcode:secret", "host:shop", "heart-beat:0,4000"):
        assert f"\n{line}\n" in said
    assert re.search(r"\nclient-id:my-app-[0-9a-f]+-listener\n", said)


@pytest.mark.slow
def test_the_subscription_id_names_the_subscription(scene: Scene) -> None:
    scene.send("a")
    process = scene.pubsub("show", STOMP_SUBSCRIPTION_ID="orders")
    headers = json.loads(process.wait_for_line("^headers (.*)$")[1])
    assert headers["subscription"] == "orders-listener"


@pytest.mark.slow
def test_a_message_without_a_correlation_id_is_refused_or_given_one(scene: Scene) -> None:
    scene.client().send(scene.existing(scene.queue), b'"strict"')
    process = scene.pubsub("show")
    assert bodies(scene.left(scene.dead_letters, 1)) == ["strict"]
    assert process.terminate() == 0
    assert "\nheaders" not in process.text()

    scene.client().send(scene.existing(scene.queue), b'"lenient"')
    process = scene.pubsub("show", STOMP_CORRELATION_ID_REQUIRED="False")
    headers = json.loads(process.wait_for_line("^headers (.*)$")[1])
    assert len(headers["correlation-id"]) == 36


@pytest.mark.slow
@pytest.mark.parametrize(("max_age", "second"), [("0", "opened"), ("600", "kept")])
def test_a_database_connection_is_opened_when_needed_and_kept_to_conn_max_age(
    rabbit: Scene, max_age: str, second: str
) -> None:
    own = {"DJANGO_SETTINGS_MODULE": "tests.django_stomp.settings", "TEST_CONN_MAX_AGE": max_age}
    process = rabbit.pubsub("query", **own)
    rabbit.send("a")
    process.wait_for_line("^opened for a")
    rabbit.send("b")
    process.wait_for_line(f"^{second} for b")
    assert process.terminate() == 0


@pytest.mark.slow
def test_dead_letters_go_to_dlq_and_the_name_of_the_queue(scene: Scene, tmp_path: Path) -> None:
    name = f"{scene.name}.some-queue"
    scene.declare(name)
    scene.send("a", to=f"/queue/{name}")
    process = scene.pubsub("fail", destination=f"/queue/{name}")
    assert bodies(scene.left(f"/queue/DLQ.{name}", 1)) == ["a"]
    assert process.terminate() == 0

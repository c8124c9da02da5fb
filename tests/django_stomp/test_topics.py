"""Topics: W13 and W15."""

from __future__ import annotations

import pytest

from tests.django_stomp.scene import Scene
from tests.support.management import Management
from tests.support.processes import ManagedProcess

pytestmark = pytest.mark.slow


def test_w13_every_application_gets_every_message_of_a_topic(scene: Scene) -> None:
    """There RabbitMQ was asked for one durable queue with the topic's name, shared by all who subscribed: of six
    messages one application got four and the other two."""
    topic = f"/topic/{scene.name}.prices"
    applications = [subscribed(scene, topic, STOMP_LISTENER_CLIENT_ID=name) for name in ("billing", "mailing")]
    scene.client().send(topic, *(b'"%d"' % number for number in range(6)), headers={"correlation-id": "1"})
    for application in applications:
        application.wait_for_line("^done 5")
        assert application.text().count("done") == 6
        assert application.terminate() == 0


def test_w13_a_topic_is_not_mixed_with_the_queue_of_that_name(rabbit: Scene, management: Management) -> None:
    """There /topic/prices and /queue/prices were the same queue."""
    name = f"{rabbit.name}.prices"
    of_topic, of_queue = subscribed(rabbit, f"/topic/{name}"), subscribed(rabbit, f"/queue/{name}")
    client = rabbit.client()
    for kind in ("topic", "queue"):
        client.send(f"/{kind}/{name}", f'"to the {kind}"'.encode(), headers={"correlation-id": "1"})
    for process, kind in ((of_topic, "topic"), (of_queue, "queue")):
        process.wait_for_line(f"^done to the {kind}$")
        assert process.terminate() == 0
        assert process.text().count("done") == 1


def subscribed(scene: Scene, destination: str, **settings: str) -> ManagedProcess:
    """A ``pubsub`` that is subscribed: what is sent to a topic before that is for others."""
    process = scene.pubsub("take", destination=destination, **settings)
    process.wait_for_line("^running")
    return process


def test_w15_a_topic_can_be_consumed_by_who_has_no_right_to_a_dlq(rabbit: Scene, management: Management) -> None:
    """There a consumer of a topic subscribed to a DLQ first, every time: ACCESS_REFUSED for who has no right to one."""
    everything_else = r"^(?!DLQ\.).*"
    management.add_user(rabbit.name, "pw", configure=everything_else, write=everything_else, read=everything_else)
    topic = f"/topic/{rabbit.name}.prices"
    process = subscribed(rabbit, topic, STOMP_SERVER_USER=rabbit.name, STOMP_SERVER_PASSWORD="pw")
    rabbit.client().send(topic, b'"a"', headers={"correlation-id": "1"})
    process.wait_for_line("^done a")
    assert process.terminate() == 0
    assert "access_refused" not in process.text()
    assert [name for name in management.arguments_like(rabbit.name) if name.endswith("prices")] == []

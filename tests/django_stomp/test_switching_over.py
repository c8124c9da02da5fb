"""From django-stomp to here with what is on the broker: queues and DLQs as it left them, messages waiting in both."""

from __future__ import annotations

import json

import pytest

from stompconsole.deadletters import selection
from stompconsole.delivery.specs import Purpose
from stompconsole.models import DeadLetter, DeadLetterState
from tests.django_stomp.scene import Scene, bodies, subscribing
from tests.support.management import Management
from tests.support.waiting import until
from tests.worker.stage import Stage

pytestmark = pytest.mark.slow

WAITING = ["a", "b", "c", "d", "e"]
DEAD = ["x", "y", "z"]


def declared(name: str) -> dict[str, dict[str, str]]:
    """The queues of one destination with their arguments, as they were seen on RabbitMQ after django-stomp had run."""
    routing = {name: f"DLQ.{name}", f"DLQ.{name}": f"DLQ.DLQ.{name}"}
    return {queue: {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": key} for queue, key in routing.items()}


def test_a_consumer_of_the_admin_takes_over(transactional_db: None, scene: Scene) -> None:
    scene.refuse(*DEAD)
    scene.send(*WAITING)
    with Stage(scene.broker, scene.folder) as stage:
        worker = stage.worker()
        consumer = stage.consumer("orders", destination=scene.queue, capture=True)
        until(lambda: stage.written() == WAITING, what="what waited is handled, in order")
        until(lambda: DeadLetter.objects.count() == 3, what="all are captured")
        letters = list(DeadLetter.objects.all())
        assert sorted(json.loads(bytes(letter.body)) for letter in letters) == DEAD
        assert {letter.origin for letter in letters} == {scene.queue}

        selection.replay_selected([letter.pk for letter in letters], actor=None)
        until(lambda: sorted(stage.written()[5:]) == DEAD, what="the dead letters are handled")
        processed = DeadLetter.objects.filter(state=DeadLetterState.PROCESSED)
        until(lambda: processed.count() == 3, what="they are known to be")
        for purpose in Purpose:
            assert [slot.state for slot in stage.slots(consumer, purpose)] == ["running"]
        assert worker.terminate() == 0
        assert worker.text().count("is backing off") <= len(Purpose), "each may find out once how its queue is declared"
    assert scene.left(scene.queue, 0) == []
    assert scene.left(scene.dead_letters, 0) == []


def test_pubsub_takes_over_and_the_dlq_can_be_moved_back(scene: Scene) -> None:
    scene.refuse(*DEAD)
    scene.send(*WAITING)
    process = scene.pubsub("take")
    process.wait_for_line("^done e")
    move = scene.command("move_messages", scene.dead_letters, scene.queue, "--until-empty")
    assert move.wait() == 0
    process.wait_for_line("^done z")
    assert process.terminate() == 0
    assert process.text().count("done") == len(WAITING) + len(DEAD)
    assert process.text().count("\nbacking off") <= 1
    assert scene.left(scene.queue, 0) == []
    assert scene.left(scene.dead_letters, 0) == []


def test_no_queue_is_added_and_none_is_declared_anew(rabbit: Scene, management: Management) -> None:
    rabbit.refuse(*DEAD)
    rabbit.send(*WAITING)
    process = rabbit.pubsub("fail")
    process.wait_for_line("^failed e")
    assert process.terminate() == 0
    assert bodies(rabbit.left(rabbit.dead_letters, 8)) == [*DEAD, *WAITING]
    assert management.arguments_like(rabbit.name) == declared(rabbit.name)


@pytest.mark.parametrize("prefix", ["", "/queue/"])
def test_a_queue_may_be_named_without_its_prefix(scene: Scene, prefix: str) -> None:
    scene.send("bad")
    process = scene.pubsub("fail", destination=f"{prefix}{scene.name}")
    process.wait_for_line("^failed bad")
    assert process.terminate() == 0
    process = scene.pubsub("take", destination=f"{prefix}DLQ.{scene.name}")
    process.wait_for_line("^done bad")
    assert process.terminate() == 0


@pytest.mark.parametrize("prefix", ["", "/queue/"])
def test_a_virtual_topic_is_collected_in_the_queue_it_was(rabbit: Scene, management: Management, prefix: str) -> None:
    topic = f"/topic/VirtualTopic.{rabbit.name}"
    name = f"Consumer.app.VirtualTopic.{rabbit.name}"
    rabbit.declare(name)
    with rabbit.raw() as old:
        old.done("SUBSCRIBE", {"id": "1", **subscribing(f"/queue/{name}"), "destination": topic})
    rabbit.send("waited", to=topic)
    process = rabbit.pubsub("take", destination=f"{prefix}{name}")
    process.wait_for_line("^done waited")
    rabbit.send("new", to=topic)
    process.wait_for_line("^done new")
    assert process.terminate() == 0
    assert management.arguments_like(name) == declared(name)
    assert management.topics_of(name) == [topic.removeprefix("/topic/")]


def test_an_old_consumer_may_run_beside_and_may_come_back(scene: Scene) -> None:
    with scene.raw() as old:
        old.done("SUBSCRIBE", {"id": "old-listener", **subscribing(scene.queue)})
        process = scene.pubsub("take")
        process.wait_for_line("^running")
        scene.send(*WAITING)
        message = old.read_frame()
        until(lambda: process.text().count("\ndone") == 4, what="it has one in hand, ours does the others")
        old.settle(message)
        old.done("DISCONNECT")
    assert process.terminate() == 0

    scene.send("later")
    with scene.raw() as old:
        old.done("SUBSCRIBE", {"id": "old-listener", **subscribing(scene.queue)})
        message = old.read_frame()
        assert (message.command, message.body) == ("MESSAGE", b'"later"')
        old.settle(message)
        old.done("DISCONNECT")
    assert scene.left(scene.queue, 0) == []

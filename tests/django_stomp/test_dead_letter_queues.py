"""Dead-letter queues and queues that are there already: W11 and W12."""

from __future__ import annotations

import pytest

from stompconsole.models import DeadLetter
from tests.django_stomp.scene import Scene, bodies
from tests.support.waiting import until
from tests.worker.stage import Stage

pytestmark = pytest.mark.slow

QUEUES = {
    "plain": {},
    "django-stomp's": {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "DLQ.{name}"},
    "another's": {"x-message-ttl": "600000", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "graveyard"},
}
"""Arguments of a queue that somebody has declared before."""


def test_w11_starting_pubsub_touches_no_dead_letter(scene: Scene) -> None:
    """There each start subscribed to the DLQ to declare it, was given its first message and dropped it: redelivered
    at every restart."""
    scene.send("dead before", "as well", to=scene.dead_letters)
    for body in ("first", "second"):
        scene.send(body)
        process = scene.pubsub("take")
        process.wait_for_line(f"^done {body}")
        process.terminate()
    dead = scene.left(scene.dead_letters, 2)
    assert bodies(dead) == ["dead before", "as well"]
    assert {letter.headers.get("redelivered", "false") for letter in dead} == {"false"}


def test_w11_runworker_takes_dead_letters_out_or_leaves_them_alone(transactional_db: None, scene: Scene) -> None:
    """There nothing captured them, and all the same a start took one in hand."""
    scene.send("dead before", to=scene.dead_letters)
    with Stage(scene.broker, scene.folder) as stage:
        consumer = stage.consumer("orders", destination=scene.queue, capture=False)
        worker = stage.worker()
        scene.send("a")
        until(lambda: stage.written() == ["a"], what="it consumes")
        assert worker.terminate() == 0
        [dead] = scene.left(scene.dead_letters, 1)
        assert dead.headers.get("redelivered", "false") == "false"

        scene.send("dead later", to=scene.dead_letters)
        consumer.capture = True
        consumer.save()
        worker = stage.worker()
        until(DeadLetter.objects.exists, what="it is captured")
        assert bytes(DeadLetter.objects.get().body) == b'"dead later"'
        assert worker.terminate() == 0
    assert scene.left(scene.dead_letters, 0) == []


@pytest.mark.parametrize("arguments", QUEUES.values(), ids=QUEUES)
def test_w12_a_queue_is_used_as_it_is_whoever_declared_it(rabbit: Scene, arguments: dict[str, str]) -> None:
    """There a queue without its own arguments meant PRECONDITION_FAILED and a new connection every second, without
    a word why."""
    name = f"{rabbit.name}.declared"
    given = {key: value.format(name=name) for key, value in arguments.items()}
    client = rabbit.client()
    for queue in (name, f"DLQ.{name}"):
        client.send(f"/queue/{queue}", b'"first"', headers={"correlation-id": "1", **given})
    process = rabbit.pubsub("take", destination=f"/queue/{name}")
    process.wait_for_line("^done first")
    assert process.terminate() == 0
    assert process.text().count("\nbacking off") <= 1

    client.send(f"/amq/queue/{name}", b'"bad"', headers={"correlation-id": "2"})
    process = rabbit.pubsub("fail", destination=f"/queue/{name}")
    process.wait_for_line("^failed bad")
    assert process.terminate() == 0
    assert bodies(rabbit.left(f"/queue/DLQ.{name}", 2)) == ["first", "bad"]

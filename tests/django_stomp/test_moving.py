"""``move_messages`` and ``ack_all_messages``: W10 and W17, and what of W1 is about them."""

from __future__ import annotations

import json

import pytest

from tests.django_stomp.scene import Scene, at, bodies
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.transport.scripted import Peer, scripted_broker

pytestmark = pytest.mark.slow

AT_ONCE_S = 12.0


@pytest.mark.parametrize("body", [b'"without a correlation id"', b"no json"])
def test_w10_whatever_a_dead_letter_lacks_it_is_moved_and_not_lost(scene: Scene, body: bytes) -> None:
    """There it was NACKed for the want of a correlation id, and RabbitMQ dead-lettered it to a DLQ.DLQ.… that nobody
    had made: gone. Without JSON in it, it came again and again."""
    scene.client().send(scene.existing(scene.dead_letters), body)
    process = scene.command("move_messages", scene.dead_letters, scene.queue, "--until-empty")
    assert process.wait() == 0
    assert [message.body for message in scene.left(scene.queue, 1)] == [body]
    assert scene.left(scene.dead_letters, 0) == []


def test_w10_a_message_is_not_acknowledged_before_the_target_has_it(rabbit: Scene) -> None:
    """There the source was told first, on another connection: a target that never committed had cost the message."""
    rabbit.send("a")
    with scripted_broker() as target:
        source = rabbit.broker.endpoint()
        process = rabbit.command(
            "move_messages", rabbit.queue, "/queue/there", source.host, str(source.port), **at(target.endpoint())
        )
        assert json.loads(sent_to(target.peer())) == "a"
        process.kill()
    assert bodies(rabbit.left(rabbit.queue, 1)) == ["a"]


def sent_to(peer: Peer) -> bytes:
    """The body of the first SEND that comes, which gets no answer."""
    while not (frame := peer.read_frame()).startswith(b"SEND"):
        pass
    return frame.partition(b"\n\n")[2]


@pytest.mark.parametrize("command", ["move_messages", "ack_all_messages"])
def test_w01_sigterm_ends_the_other_commands_with_0(scene: Scene, command: str) -> None:
    """There they never ended, whatever was sent to them."""
    scene.send("a")
    elsewhere = f"{scene.name}.moved"
    scene.declare(elsewhere)
    target = [f"/queue/{elsewhere}"] if command == "move_messages" else []
    process = scene.command(command, scene.queue, *target)
    assert scene.left(f"/queue/{elsewhere}", 1) if target else process.wait_for_line("^running")
    assert process.terminate(AT_ONCE_S) == 0
    if target:
        # Of the other one it is not known whether it had got to the message when the signal came.
        assert scene.left(scene.queue, 0) == []


def test_w17_another_source_has_no_standby_of_the_target(rabbit: Scene) -> None:
    """There the standby of the settings was taken for one of the source: with the source down, messages of the
    target's own standby were moved."""
    rabbit.send("not to be moved")
    elsewhere = f"{rabbit.name}.moved"
    rabbit.declare(elsewhere)
    with Proxy(rabbit.broker.endpoint()) as standby:
        to = standby.endpoint
        process = rabbit.command(
            "move_messages",
            rabbit.queue,
            f"/queue/{elsewhere}",
            "127.0.0.1",
            str(down := free_port()),
            STOMP_SERVER_STANDBY_HOST=to.host,
            STOMP_SERVER_STANDBY_PORT=str(to.port),
        )
        process.wait_for_line(f"^backing off: .*{down}")
        process.wait_for_line(f"(?s)is backing off: .*{down}.*is backing off: .*{down}")
        assert standby.connections == 0
        assert process.terminate(AT_ONCE_S) == 0
    assert bodies(rabbit.left(rabbit.queue, 1)) == ["not to be moved"]
    assert rabbit.left(f"/queue/{elsewhere}", 0) == []

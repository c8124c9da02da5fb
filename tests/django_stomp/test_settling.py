"""Settling once, on the session that gave the message: W8 and W9."""

from __future__ import annotations

import pytest

from tests.django_stomp.scene import Scene, at, bodies
from tests.support.proxy import Proxy

pytestmark = pytest.mark.slow


def test_w08_failing_after_ack_is_harmless(scene: Scene) -> None:
    """There the exception was answered by a NACK of what had been ACKed: PRECONDITION_FAILED - unknown delivery tag,
    and the connection was gone; so was it after a second ack()."""
    process = scene.pubsub("settle_and_fail")
    scene.send("a", "b", "c")
    process.wait_for_line("^begun c")
    assert process.terminate() == 0
    assert process.text().count("begun") == 3
    assert scene.sessions(process) == 1
    assert "PRECONDITION_FAILED - unknown delivery tag" not in process.text()
    assert scene.left(scene.queue, 0) == []
    assert scene.left(scene.dead_letters, 0) == []


def test_w09_a_late_ack_settles_nothing_of_the_next_session(scene: Scene) -> None:
    """There the subscription kept its id over sessions, and RabbitMQ goes by that and a number that starts anew:
    the ACK of a message of the lost session settled another one, which was lost as well."""
    with Proxy(scene.broker.endpoint()) as proxy:
        threads = {"STOMP_PROCESS_MSG_WORKERS": "2", "STOMP_SUBSCRIPTION_ID": "kept"}
        process = scene.pubsub("held_up", **at(proxy.endpoint), **threads)
        scene.send("slow")
        process.wait_for_line("^begun slow")
        proxy.refuse()
        assert bodies(scene.left(scene.queue, 1)) == ["slow"], "somebody else is done with it meanwhile"
        scene.send("next")
        proxy.accept()
        process.wait_for_line("^begun next")
        scene.open_gate("slow")
        process.wait_for_line("^done slow|NotConnected")
        process.kill()
    assert bodies(scene.left(scene.queue, 1)) == ["next"]

"""Messages that can't be read: W5."""

from __future__ import annotations

import pytest

from tests.django_stomp.scene import Scene

pytestmark = pytest.mark.slow

POISON = [b"not json", b"", b'{"cut": ', b"\xff\xfe\x00", b"[" * 100_000]


def test_w05_what_is_not_json_is_a_dead_letter_once_and_holds_nothing_up(scene: Scene) -> None:
    """There json.loads raised in the thread that reads: the connection was lost, and a second later the same message
    came again, for ever."""
    process = scene.pubsub("take")
    scene.send(*POISON, "good")
    process.wait_for_line("^done good")
    dead = scene.left(scene.dead_letters, len(POISON))
    assert {letter.body for letter in dead} == set(POISON)
    assert {letter.headers["stompconsole-error-type"] for letter in dead} == {"UnreadableBody"}
    assert scene.sessions(process) == 1
    assert "Traceback" not in process.text()
    assert process.terminate() == 0
    assert scene.left(scene.queue, 0) == []

"""The app's start-up: a saved or deleted definition wakes the workers, on commit."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from stompconsole.models import Broker, Consumer, Replay, Worker
from stompconsole.worker import nudges


@pytest.fixture
def nudged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    monkeypatch.setattr(nudges, "nudge_on_commit", lambda: seen.append("nudge"))
    return seen


@pytest.mark.django_db
def test_saving_and_deleting_definitions_and_replays_nudges(nudged: list[str]) -> None:
    broker = Broker.objects.create(name="b")
    consumer = Consumer.objects.create(name="c", broker=broker, destination="/queue/x", handler="a.b")
    Replay.objects.create(selection="one")
    consumer.delete()
    broker.delete()
    assert len(nudged) == 5


@pytest.mark.django_db
def test_what_workers_report_does_not(nudged: list[str], django_user_model: type[User]) -> None:
    from django.utils import timezone

    now = timezone.now()
    Worker.objects.create(hostname="h", pid=1, version="0", started_at=now, heartbeat_at=now)
    django_user_model.objects.create(username="x")
    assert nudged == []


def test_the_nudge_itself_needs_no_argument() -> None:
    reference: Any = nudges.nudge_on_commit
    assert reference.__code__.co_argcount == 0

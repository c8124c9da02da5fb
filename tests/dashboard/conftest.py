"""Clients of the console: one who may do everything, one who may only look, one who may nothing."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from stompconsole.deadletters import by_portions
from tests.dashboard.rows import make_user


@pytest.fixture
def operator(db: None) -> User:
    return make_user(
        "view_console",
        "operate_consumer",
        "replay_deadletter",
        "discard_deadletter",
        "edit_failuregroup",
        "edit_deadletter",
        "try_deadletter",
        name="operator",
        is_staff=True,
    )


@pytest.fixture
def client(operator: User) -> Client:
    """Logged in as somebody who may do everything."""
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def onlooker(db: None) -> Client:
    """Logged in as somebody who may only look."""
    client = Client()
    client.force_login(make_user("view_console", name="onlooker", is_staff=True))
    return client


@pytest.fixture
def stranger(db: None) -> Client:
    """Logged in without any permission of ours."""
    client = Client()
    client.force_login(make_user(name="stranger", is_staff=True))
    return client


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Very many are acted on two at a time."""
    monkeypatch.setattr(by_portions, "SLICE", 2)

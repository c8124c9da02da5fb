"""The row named default: what STOMP_* describe, kept in step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models.signals import post_save
from django.test import override_settings

from stompconsole.conf import settings_now
from stompconsole.errors import ConfigurationError
from stompconsole.models import Broker
from stompconsole.models.default_broker import (
    SETTING_OF,
    _fields,
    from_settings,
    keep_default_broker,
    kept_by_settings,
)

STOMP = {
    "STOMP_SERVER_HOST": "one",
    "STOMP_SERVER_PORT": 61614,
    "STOMP_SERVER_USER": "u",
    "STOMP_SERVER_PASSWORD": "pw",
}

pytestmark = pytest.mark.django_db


@pytest.fixture
def saves() -> Iterator[list[Broker]]:
    seen: list[Broker] = []

    def note(instance: Broker, **_: Any) -> None:
        seen.append(instance)

    post_save.connect(note, sender=Broker)
    yield seen
    post_save.disconnect(note, sender=Broker)


def test_without_the_settings_there_is_no_such_row() -> None:
    assert keep_default_broker() is None
    assert not Broker.objects.exists()


def test_the_row_is_created_from_the_settings() -> None:
    with override_settings(**STOMP, STOMP_USE_SSL="yes", STOMP_SERVER_VHOST="/v", STOMP_OUTGOING_HEARTBEAT="5000"):
        broker = keep_default_broker()
    assert broker is not None
    assert (broker.name, broker.host, broker.port, broker.user, broker.vhost) == ("default", "one", 61614, "u", "/v")
    assert broker.use_tls
    assert broker.tls_verify
    assert broker.heartbeat_send_ms == 5000
    assert Broker.objects.get().password.reveal() == "pw"


def test_it_follows_the_settings_and_leaves_the_rest_to_the_operator(saves: list[Broker]) -> None:
    with override_settings(**STOMP):
        keep_default_broker()
    Broker.objects.update(dead_letter_via="nack")
    with override_settings(**{**STOMP, "STOMP_SERVER_HOST": "two", "STOMP_SERVER_PASSWORD": "new"}):
        keep_default_broker()
    broker = Broker.objects.get()
    assert (broker.host, broker.dead_letter_via, broker.password.reveal()) == ("two", "nack", "new")
    assert len(saves) == 2


def test_whether_tls_is_verified_is_decided_by_the_settings_too() -> None:
    with override_settings(**STOMP, STOMP_USE_SSL=True, STOMPCONSOLE={"TLS_VERIFY": "no"}):
        broker = keep_default_broker()
    assert broker is not None
    assert not broker.tls_verify
    with override_settings(**STOMP, STOMP_USE_SSL=True):
        keep_default_broker()
    assert Broker.objects.get().tls_verify


def test_every_field_that_the_settings_decide_names_its_setting() -> None:
    with override_settings(**STOMP):
        stomp = settings_now().stomp
    assert stomp is not None
    assert set(_fields(stomp)) | {"name"} == set(SETTING_OF)


def test_it_is_not_saved_when_nothing_differs(saves: list[Broker]) -> None:
    with override_settings(**STOMP):
        keep_default_broker()
        keep_default_broker()
    assert len(saves) == 1


def test_wrong_settings_change_nothing() -> None:
    with override_settings(**STOMP, STOMP_USE_SSL="maybe"), pytest.raises(ConfigurationError):
        keep_default_broker()
    assert not Broker.objects.exists()


def test_only_the_row_named_default_is_kept_and_only_while_the_settings_are_there() -> None:
    assert not kept_by_settings(Broker(name="default"))
    with override_settings(**STOMP):
        assert kept_by_settings(Broker(name="default"))
        assert not kept_by_settings(Broker(name="other"))


def test_without_a_database_the_row_is_made_and_not_saved() -> None:
    with override_settings(**STOMP):
        stomp = settings_now().stomp
    assert stomp is not None
    spec = from_settings(stomp).spec()
    assert (spec.name, spec.login.password, spec.endpoints[0].host) == ("default", "pw", "one")
    assert not Broker.objects.exists()

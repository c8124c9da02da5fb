"""audit.record: one entry and one log line for each act."""

from __future__ import annotations

import logging

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction

from stompconsole import audit
from stompconsole.models import AuditEntry, Broker, Consumer

pytestmark = pytest.mark.django_db


def test_an_act_of_a_user_is_recorded_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    user = User.objects.create(username="ada")
    consumer = Consumer.objects.create(
        name="orders", broker=Broker.objects.create(name="b"), destination="/queue/x", handler="a.b"
    )
    with caplog.at_level(logging.INFO, "stompconsole.audit"):
        entry = audit.record(
            audit.Action.CONSUMER_PAUSED, "consumer orders", actor=user, consumer=consumer, data={"n": 1},
            remote_address="192.0.2.7",
        )  # fmt: skip
    found = AuditEntry.objects.get(pk=entry.pk)
    assert (found.actor, found.actor_name, found.consumer, found.data) == (user, "ada", consumer, {"n": 1})
    assert found.remote_address == "192.0.2.7"
    assert caplog.messages == ["consumer paused: consumer orders, by ada"]
    assert caplog.records[0].__dict__["audit_id"] == entry.pk


def test_the_name_outlives_the_user() -> None:
    user = User.objects.create(username="ada")
    entry = audit.record("x", "y", actor=user)
    user.delete()
    entry.refresh_from_db()
    assert (entry.actor, entry.actor_name) == (None, "ada")


def test_an_event_carries_the_name_of_its_worker() -> None:
    assert audit.record("worker started", "web-1:88", actor=None, actor_name="web-1:88").actor_name == "web-1:88"


def test_nobody_known_is_said_to_be_unknown() -> None:
    assert audit.record("x", "y", actor=AnonymousUser()).actor_name == "unknown"


@pytest.mark.parametrize("address", ["", "unix:", "not an address", None])
def test_an_address_that_is_none_is_left_out(address: str | None) -> None:
    assert audit.record("x", "y", actor=None, remote_address=address).remote_address is None


def test_what_is_too_long_is_cut_rather_than_refused() -> None:
    entry = audit.record("x", "y" * 500, actor=None, actor_name="z" * 500)
    assert (len(entry.target), len(entry.actor_name)) == (300, 150)


def test_no_entry_is_changed_or_deleted() -> None:
    entry = audit.record("x", "y", actor=None)
    entry.target = "z"
    for attempt in (
        entry.save,
        entry.delete,
        AuditEntry.objects.filter(pk=entry.pk).delete,
        lambda: AuditEntry.objects.update(target="z"),
        lambda: AuditEntry.objects.bulk_update([entry], ["target"]),
    ):
        with pytest.raises(TypeError, match="append-only"), transaction.atomic():
            attempt()
    assert AuditEntry.objects.get().target == "y"

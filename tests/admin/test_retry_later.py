"""The consumer's long retry steps: what may be typed, and where nothing could bring a message back."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from stompconsole.models import Broker, Consumer
from tests.admin.forms import broker_form, consumer_form, messages_of, said

ADD = reverse("admin:stompconsole_consumer_add")


def test_steps_are_typed_and_reach_the_worker(admin_client: Client, broker: Broker) -> None:
    assert admin_client.post(ADD, consumer_form(broker, retry_later="5m, 1h, 6h")).status_code == 302
    parking = Consumer.objects.get().spec().retry.parking
    assert parking is not None
    assert parking.steps_s == (300.0, 3_600.0, 21_600.0)


def test_what_is_no_step_is_said(admin_client: Client, broker: Broker) -> None:
    (error,) = said(admin_client.post(ADD, consumer_form(broker, retry_later="5m, soon")))
    assert error == ("'soon' is no step: give a whole number and its unit, s, m, h or d, such as 30s, 5m, 6h or 1d.")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"capture": ""}, "nothing captures its dead letters"),
        ({"destination": "/topic/prices"}, "every subscriber of /topic/prices would get"),
    ],
)
def test_where_nothing_could_bring_a_message_back_steps_are_refused(
    admin_client: Client, broker: Broker, fields: dict[str, Any], why: str
) -> None:
    (error,) = said(admin_client.post(ADD, consumer_form(broker, retry_later="5m", **fields)))
    assert error.startswith("It can't be tried again later: ")
    assert why in error


def test_with_dead_letters_by_nack_steps_are_refused(admin_client: Client, broker: Broker) -> None:
    Broker.objects.update(dead_letter_via="nack")
    (error,) = said(admin_client.post(ADD, consumer_form(broker, retry_later="5m")))
    assert "dead-letters by NACK" in error


def test_a_broker_that_is_switched_to_nack_says_whose_steps_have_no_effect(
    admin_client: Client, broker: Broker
) -> None:
    admin_client.post(ADD, consumer_form(broker, retry_later="5m"))
    url = reverse("admin:stompconsole_broker_change", args=[broker.pk])
    told = messages_of(admin_client.post(url, broker_form(dead_letter_via="nack"), follow=True))
    assert "orders is not tried again after 5m" in told
    assert Consumer.objects.get().spec().retry.parking is None


@pytest.mark.long
def test_long_waits_that_can_only_be_in_the_worker_are_said(admin_client: Client, broker: Broker) -> None:
    form = consumer_form(broker, capture="", max_attempts="5", retry_max_delay_s="3600")
    told = messages_of(admin_client.post(ADD, form, follow=True))
    assert "Retries wait in the worker for 900 s at most" in told


def test_a_durable_subscriber_is_told_who_gets_a_retry(admin_client: Client, broker: Broker) -> None:
    Broker.objects.update(kind="activemq")
    form = consumer_form(broker, destination="/topic/prices", durable="on", retry_later="5m")
    assert "replayed or tried again later goes to every subscriber" in messages_of(
        admin_client.post(ADD, form, follow=True)
    )

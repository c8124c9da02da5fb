"""The fields of a breaker: what is taken, and what is refused with the reason."""

from __future__ import annotations

import pytest
from django.test import Client

from stompconsole.models import Broker, Consumer
from tests.admin.forms import consumer_form, said

ADD = "/admin/stompconsole/consumer/add/"


@pytest.mark.long
def test_a_new_consumer_has_none_and_the_form_says_what_one_is_good_for(admin_client: Client, broker: Broker) -> None:
    page = admin_client.get(ADD).content.decode()
    assert "When what it needs is down" in page
    assert "5 in a row, or 50 %, are a good start" in page
    admin_client.post(ADD, consumer_form(broker))
    assert not Consumer.objects.get().spec().breaker.on


def test_a_policy_reaches_what_workers_run(admin_client: Client, broker: Broker) -> None:
    form = consumer_form(broker, breaker_in_a_row="5", breaker_percent="40", breaker_probe_s="12.5")
    assert admin_client.post(ADD, form).status_code == 302
    policy = Consumer.objects.get().spec().breaker
    assert (policy.in_a_row, policy.percent, policy.probe_s, policy.on) == (5, 40, 12.5, True)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"breaker_in_a_row": "-1"}, "greater than or equal to 0"),
        ({"breaker_in_a_row": "10001"}, "less than or equal to 10000"),
        ({"breaker_percent": "100"}, "less than or equal to 99"),
        ({"breaker_probe_s": "0"}, "greater than or equal to 1"),
        ({"breaker_probe_s": "nan"}, "Enter a number"),
        ({"breaker_in_a_row": "5", "ack_mode": "auto"}, "With ack mode auto nothing can be given back"),
        ({"breaker_percent": "50", "destination": "/topic/prices"}, "What is sent to a topic while nobody listens"),
    ],
)
def test_a_breaker_that_makes_no_sense_is_refused(
    admin_client: Client, broker: Broker, fields: dict[str, str], words: str
) -> None:
    response = admin_client.post(ADD, consumer_form(broker, **fields))
    assert response.status_code == 200
    assert words in " ".join(said(response))
    assert not Consumer.objects.exists()


def test_on_rabbitmq_an_exclusive_queue_can_have_none_and_a_durable_topic_can(
    admin_client: Client, broker: Broker
) -> None:
    broker.kind = "rabbitmq"
    broker.save()
    response = admin_client.post(ADD, consumer_form(broker, breaker_in_a_row="5", exclusive="on"))
    assert any("deletes an exclusive queue" in words for words in said(response))
    durable = consumer_form(broker, breaker_in_a_row="5", destination="/topic/prices", durable="on")
    assert admin_client.post(ADD, durable).status_code == 302

"""Topics in the consumer's form: what the broker can't do is refused, what has no effect is said, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from stompconsole.models import Broker, Consumer, Subscription, default_broker
from tests.admin.forms import HANDLER, consumer_form, messages_of, said

LIST = reverse("admin:stompconsole_consumer_changelist")
ADD = reverse("admin:stompconsole_consumer_add")
TOPIC = "/topic/prices"
VIRTUAL = "/queue/Consumer.A.VirtualTopic.prices"
DJANGO_STOMP = {
    "STOMP_SERVER_HOST": "broker.example.org",
    "STOMP_DURABLE_TOPIC_SUBSCRIPTION": True,
    "STOMP_LISTENER_CLIENT_ID": "shop",
    "STOMP_SUBSCRIPTION_ID": "shop-1",
    "STOMP_PROCESS_MSG_WORKERS": "7",
    "STOMP_DEFAULT_EXCLUSIVE_QUEUE": True,
}


def of_kind(broker: Broker, kind: str) -> Broker:
    broker.kind = kind
    broker.save()
    return broker


def make(broker: Broker, name: str = "orders", **fields: Any) -> Consumer:
    return Consumer.objects.create(
        **{"name": name, "broker": broker, "handler": HANDLER, "destination": TOPIC, **fields}
    )


def add(client: Client, broker: Broker, **fields: str) -> Any:
    return client.post(ADD, consumer_form(broker, **{"destination": TOPIC, **fields}), follow=True)


def delete(client: Client, url: str, **form: Any) -> Any:
    return client.post(url, {**form, "post": "yes"}, follow=True)


def change(client: Client, row: Consumer, **fields: str) -> Any:
    url = reverse("admin:stompconsole_consumer_change", args=[row.pk])
    return client.post(url, consumer_form(row.broker, **{"destination": TOPIC, **fields}), follow=True)


@pytest.mark.parametrize(
    ("kind", "fields", "field", "why"),
    [
        ("activemq", {"durable": "on", "instances": "2"}, "instances", "one connection of each durable subscriber"),
        ("activemq", {"durable": "on", "instances": "0"}, "instances", "one connection of each durable subscriber"),
        ("rabbitmq", {"destination": "/queue/a", "exclusive": "on", "instances": "2"}, "instances", "one connection"),
        ("rabbitmq", {"durable": "on", "exclusive": "on"}, "exclusive", "can't be exclusive"),
        ("rabbitmq", {"durable": "on", "exclusive": "on", "instances": "2"}, "exclusive", "can't be exclusive"),
        ("rabbitmq", {"destination": VIRTUAL, "exclusive": "on"}, "exclusive", "can't be exclusive"),
        ("rabbitmq", {"destination": f"/topic/{'x' * 300}", "durable": "on"}, "durable", "255 are allowed"),
    ],
)
def test_what_the_broker_can_not_do_is_refused_at_the_field_to_change(
    admin_client: Client, broker: Broker, kind: str, fields: dict[str, str], field: str, why: str
) -> None:
    response = add(admin_client, of_kind(broker, kind), **fields)
    form = response.context["adminform"].form
    assert list(form.errors) == [field]
    assert why in form.errors[field][0]
    assert not Consumer.objects.exists()


@pytest.mark.parametrize("instances", ["", "many"])
def test_a_number_of_instances_that_is_none_is_told_once(admin_client: Client, broker: Broker, instances: str) -> None:
    response = add(admin_client, of_kind(broker, "activemq"), durable="on", instances=instances)
    assert len(said(response)) == 1


def test_a_second_durable_subscriber_of_one_client_id_is_refused_on_activemq(
    admin_client: Client, broker: Broker
) -> None:
    make(of_kind(broker, "activemq"), "first", durable=True, client_id="shop", destination="/topic/other")
    response = add(admin_client, broker, durable="on", client_id="shop")
    assert said(response) == ["first is shop-listener already, and ActiveMQ Classic lets in only one of them."]
    for fields in ({"durable": "on", "client_id": "other"}, {"client_id": "shop", "name": "second"}):
        assert add(admin_client, broker, **fields).redirect_chain


@pytest.mark.long
def test_on_rabbitmq_two_rows_of_one_subscription_share_it_and_that_is_said(
    admin_client: Client, broker: Broker
) -> None:
    make(of_kind(broker, "rabbitmq"), "first", durable=True, client_id="shop")
    shared = add(admin_client, broker, durable="on", client_id="shop")
    assert "first has the same durable subscription, shop-listener" in messages_of(shared)
    other = add(admin_client, broker, name="other", destination="/topic/other", durable="on", client_id="shop")
    assert "same durable subscription" not in messages_of(other)


@pytest.mark.parametrize(
    ("kind", "fields", "advice"),
    [
        (
            "rabbitmq",
            {"destination": "/queue/orders", "durable": "on"},
            "Durable has no effect: /queue/orders is no topic",
        ),
        ("rabbitmq", {"destination": "/queue/orders", "exclusive": "on"}, "the queue goes with what is in it"),
        ("rabbitmq", {"exclusive": "on"}, "Exclusive has no effect on a topic"),
        ("activemq", {"exclusive": "on"}, "Exclusive has no effect on a topic"),
        ("artemis", {"exclusive": "on"}, "default-exclusive-queue"),
        ("generic", {"durable": "on"}, "no durable subscriptions"),
        ("generic", {"destination": "/queue/orders", "exclusive": "on"}, "no exclusive subscriptions"),
        ("auto", {"durable": "on"}, "it is not known what the broker can do"),
        ("auto", {"destination": "/queue/orders", "exclusive": "on"}, "it is not known what the broker can do"),
        ("generic", {"durable": "on", "instances": "2"}, "each is handled more than once"),
        ("rabbitmq", {"instances": "0"}, "each is handled more than once"),
        ("activemq", {"destination": "/queue/Consumer.A.b.VirtualTopic.x"}, "so nothing will come"),
        ("activemq", {"durable": "on"}, "replayed goes to every subscriber of /topic/prices again"),
        ("rabbitmq", {}, "replayed goes to every subscriber of /topic/prices again"),
    ],
)
def test_what_has_no_effect_or_another_is_said(
    admin_client: Client, broker: Broker, kind: str, fields: dict[str, str], advice: str
) -> None:
    response = add(admin_client, of_kind(broker, kind), **fields)
    assert Consumer.objects.exists()
    assert advice in messages_of(response)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("rabbitmq", {"durable": "on", "instances": "3"}),
        ("artemis", {"durable": "on"}),
        ("activemq", {"destination": "/queue/orders", "exclusive": "on", "instances": "2"}),
        ("activemq", {"destination": VIRTUAL}),
        ("rabbitmq", {"destination": VIRTUAL, "instances": "0"}),
    ],
)
def test_what_works_as_it_says_gets_no_advice(
    admin_client: Client, broker: Broker, kind: str, fields: dict[str, str]
) -> None:
    response = add(admin_client, of_kind(broker, kind), **fields)
    assert Consumer.objects.exists()
    assert "orders: " not in messages_of(response)


def heard(broker: Broker, server: str) -> None:
    """A worker of the broker has told how it was greeted."""
    other = make(broker, "other", destination="/queue/other")
    Subscription.objects.create(consumer=other, slot="0", server=server, reported_at=timezone.now())


def test_what_a_broker_is_can_be_known_from_its_greeting(admin_client: Client, broker: Broker) -> None:
    heard(broker, "ActiveMQ/5.17.2")
    assert "set instances to 1" in said(add(admin_client, broker, durable="on", instances="2"))[0]
    assert "not known" not in messages_of(add(admin_client, broker, durable="on"))


def test_dead_letters_that_another_captures_are_said(admin_client: Client, broker: Broker) -> None:
    make(broker, "first")
    response = add(admin_client, broker, capture="")
    assert "in one queue, /queue/DLQ.prices: capture by first takes those of both" in messages_of(response)


class TestWhatTheBrokerKeeps:
    """A durable subscription that no row speaks of any more goes on collecting: it is said, and how to end it."""

    @pytest.fixture
    def row(self, broker: Broker) -> Consumer:
        return make(of_kind(broker, "rabbitmq"), durable=True)

    @pytest.mark.parametrize(
        "fields",
        [{}, {"durable": "on", "client_id": "shop"}, {"durable": "on", "name": "renamed"},
         {"durable": "on", "destination": "/topic/other"}],
    )  # fmt: skip
    def test_a_change_that_leaves_it_behind_names_it(
        self, admin_client: Client, row: Consumer, fields: dict[str, str]
    ) -> None:
        told = messages_of(change(admin_client, row, **fields))
        assert "goes on collecting what is sent to /topic/prices in the queue orders-listener:prices" in told
        assert "rabbitmqctl delete_queue" in told

    def test_another_broker_leaves_it_behind_on_the_first(self, admin_client: Client, row: Consumer) -> None:
        row.broker = Broker.objects.create(name="other", kind="rabbitmq")
        assert "goes on collecting" in messages_of(change(admin_client, row, durable="on"))

    def test_pausing_and_other_changes_keep_it_and_say_nothing(self, admin_client: Client, row: Consumer) -> None:
        told = messages_of(change(admin_client, row, durable="on", paused="on", prefetch="7", client_id="orders"))
        assert "goes on collecting" not in told

    def test_the_page_that_deletes_says_it_before_and_after(self, admin_client: Client, row: Consumer) -> None:
        url = reverse("admin:stompconsole_consumer_delete", args=[row.pk])
        assert "in the queue orders-listener:prices" in admin_client.get(url).content.decode()
        assert "in the queue orders-listener:prices" in messages_of(delete(admin_client, url))

    def test_deleting_the_selected_says_it_for_each(self, admin_client: Client, row: Consumer) -> None:
        second = make(row.broker, "second", destination=VIRTUAL)
        third = make(row.broker, "third", destination="/queue/third")
        form = {"action": "delete_selected", "_selected_action": [row.pk, second.pk, third.pk]}
        page = admin_client.post(LIST, form).content.decode()
        assert "orders-listener:prices" in page
        told = messages_of(delete(admin_client, LIST, **form))
        assert told.count("goes on collecting") == 2
        assert "in the queue Consumer.A.VirtualTopic.prices" in told

    def test_what_another_row_still_reads_is_not_left_behind(self, admin_client: Client, row: Consumer) -> None:
        make(row.broker, "second", durable=True, client_id="orders")
        assert "goes on collecting" not in messages_of(change(admin_client, row))
        url = reverse("admin:stompconsole_consumer_delete", args=[row.pk])
        assert "goes on collecting" not in admin_client.get(url).content.decode()

    def test_while_it_is_not_known_what_the_broker_is_it_is_said_for_each_that_it_may_be(
        self, admin_client: Client, row: Consumer
    ) -> None:
        of_kind(row.broker, "auto")
        told = messages_of(change(admin_client, row))
        assert "No worker is connected to tell what the broker is." in told
        assert "RabbitMQ goes on collecting what is sent to /topic/prices in the queue orders-listener:prices" in told
        assert "ActiveMQ goes on keeping what is sent to /topic/prices for its durable subscriber" in told

    def test_the_kind_of_a_broker_known_by_this_row_alone_is_remembered_beyond_it(
        self, admin_client: Client, broker: Broker
    ) -> None:
        row = make(broker, durable=True)
        Subscription.objects.create(consumer=row, slot="0", server="ActiveMQ/6.3.1", reported_at=timezone.now())
        url = reverse("admin:stompconsole_consumer_delete", args=[row.pk])
        told = messages_of(delete(admin_client, url))
        assert "its durable subscriber orders-listener" in told


class TestTheForm:
    """Where the fields stand, and what a new consumer begins with."""

    def test_what_names_and_keeps_a_subscription_is_explained(self, admin_client: Client, broker: Broker) -> None:
        page = admin_client.get(ADD).content.decode()
        assert "waits in the broker" in page
        assert "with -listener behind it" in page
        assert page.index('name="destination"') < page.index('name="durable"') < page.index('name="instances"')

    @pytest.mark.parametrize(("fields", "collapsed"), [({}, True), ({"exclusive": True}, False)])
    def test_what_is_rarely_needed_is_folded_away_unless_it_is_set(
        self, admin_client: Client, broker: Broker, fields: dict[str, Any], collapsed: bool
    ) -> None:
        url = reverse("admin:stompconsole_consumer_change", args=[make(broker, **fields).pk])
        fieldsets = admin_client.get(url).context["adminform"]
        rare = next(each for each in fieldsets if each.name == "Rarely needed")
        assert rare.is_collapsible is collapsed

    def test_a_new_consumer_begins_as_the_settings_of_django_stomp_say(self, admin_client: Client, db: None) -> None:
        with override_settings(**DJANGO_STOMP):
            row = default_broker.keep_default_broker()
            initial = initial_of(admin_client)
        assert row is not None
        assert initial["broker"] == row.pk
        assert (initial["durable"], initial["exclusive"], initial["concurrency"]) == (True, True, 7)
        assert (initial["client_id"], initial["subscription_id"]) == ("shop", "shop-1")
        # Its default, not ours.
        assert initial["correlation_id_required"] is True

    @pytest.mark.parametrize(
        ("settings", "field", "value"),
        [
            ({"STOMP_CORRELATION_ID_REQUIRED": False}, "correlation_id_required", False),
            ({"STOMP_PROCESS_MSG_ON_BACKGROUND": False}, "concurrency", 1),
            ({"STOMP_DURABLE_TOPIC_SUBSCRIPTION": False}, "durable", False),
        ],
    )
    def test_each_setting_decides_its_field(
        self, admin_client: Client, settings: dict[str, Any], field: str, value: object
    ) -> None:
        with override_settings(**{**DJANGO_STOMP, **settings}):
            assert initial_of(admin_client)[field] == value

    def test_what_is_set_is_seen_at_once(self, admin_client: Client) -> None:
        with override_settings(**DJANGO_STOMP):
            fieldsets = admin_client.get(ADD).context["adminform"]
        rare = next(each for each in fieldsets if each.name == "Rarely needed")
        assert not rare.is_collapsible

    def test_without_such_settings_it_begins_with_defaults(self, admin_client: Client) -> None:
        assert initial_of(admin_client) == {}

    def test_the_address_of_the_page_has_the_last_word(self, admin_client: Client) -> None:
        with override_settings(**DJANGO_STOMP):
            assert initial_of(admin_client, client_id="by hand")["client_id"] == "by hand"


def initial_of(client: Client, **query: str) -> dict[str, Any]:
    form = client.get(ADD, query).context["adminform"].form
    initial: dict[str, Any] = form.initial
    return initial


def test_a_reader_sees_the_fields_and_no_form(client_of: Callable[..., Client], broker: Broker) -> None:
    row = make(broker, durable=True, client_id="shop")
    page = client_of("view_consumer").get(reverse("admin:stompconsole_consumer_change", args=[row.pk]))
    assert page.status_code == 200
    assert b'name="durable"' not in page.content

"""The consumer's form and list: what is accepted, what is refused and in which words, what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from stompconsole import handlers
from stompconsole.models import AuditEntry, Broker, Consumer, DeadLetter, ThroughputBucket
from tests.admin.forms import HANDLER, consumer_form, messages_of, said

LIST = reverse("admin:stompconsole_consumer_changelist")
ADD = reverse("admin:stompconsole_consumer_add")
SAMPLES = "tests.handlers.samples"


def change_url(consumer: Consumer) -> str:
    return reverse("admin:stompconsole_consumer_change", args=[consumer.pk])


def test_a_consumer_is_added_and_audited(admin_client: Client, broker: Broker) -> None:
    response = admin_client.post(ADD, consumer_form(broker))
    assert response.status_code == 302
    consumer = Consumer.objects.get()
    assert (consumer.handler, consumer.destination, consumer.prefetch) == (HANDLER, "/queue/orders", 100)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target, entry.actor_name) == ("consumer added", "consumer orders", "admin")
    assert (entry.consumer, entry.remote_address) == (consumer, "127.0.0.1")


def test_a_change_is_audited_with_old_and_new_values(admin_client: Client, consumer: Consumer) -> None:
    admin_client.post(change_url(consumer), consumer_form(consumer.broker, prefetch="10", destination="/queue/new"))
    entry = AuditEntry.objects.get()
    assert entry.action == "consumer changed"
    assert entry.data == {"changed": ["destination", "prefetch"]}
    assert "prefetch: 100 -> 10" in entry.detail


def test_saving_without_a_change_is_no_event(admin_client: Client, consumer: Consumer) -> None:
    admin_client.post(change_url(consumer), consumer_form(consumer.broker))
    assert not AuditEntry.objects.exists()


def test_handlers_are_offered_by_app_with_what_they_do(admin_client: Client) -> None:
    page = admin_client.get(ADD).content.decode()
    assert '<optgroup label="Sample handlers">' in page
    assert f"{HANDLER}: Prices an order; a broken one has no sku." in page
    assert 'name="handler_path"' not in page


@pytest.mark.long
@pytest.mark.parametrize(
    "path", ["os.system", "builtins.eval", "subprocess.run", f"{SAMPLES}.good.unregistered", "'; DROP TABLE x", ""]
)
def test_nothing_but_a_registered_handler_is_accepted(admin_client: Client, broker: Broker, path: str) -> None:
    response = admin_client.post(ADD, consumer_form(broker, handler=path))
    assert response.status_code == 200
    assert said(response)
    assert not Consumer.objects.exists()


def test_without_patterns_a_typed_path_is_ignored(admin_client: Client, broker: Broker) -> None:
    response = admin_client.post(ADD, consumer_form(broker, handler="", handler_path="os.system"))
    assert response.status_code == 200
    assert not Consumer.objects.exists()


def test_a_handler_that_is_gone_is_kept_marked_and_warned_of(admin_client: Client, consumer: Consumer) -> None:
    Consumer.objects.update(handler="gone.handlers.f")
    assert "gone.handlers.f (not registered here)" in admin_client.get(change_url(consumer)).content.decode()
    form = consumer_form(consumer.broker, handler="gone.handlers.f", prefetch="7")
    response = admin_client.post(change_url(consumer), form, follow=True)
    consumer.refresh_from_db()
    assert (consumer.handler, consumer.prefetch) == ("gone.handlers.f", 7)
    assert "broken until the handler is there" in messages_of(response)


def test_modules_of_handlers_that_do_not_import_are_named(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers._register, "failures", {"orders.handlers": "SyntaxError: <oops>"})
    page = admin_client.get(ADD).content.decode()
    assert "orders.handlers does not import" in page
    assert "<oops>" not in page


class TestTypedPaths:
    """With patterns in the settings a path may be typed instead."""

    @pytest.fixture(autouse=True)
    def _patterns(self, settings: Settings) -> None:
        settings.STOMPCONSOLE = {"HANDLERS": [f"{SAMPLES}.*"]}

    def test_an_allowed_path_is_taken(self, admin_client: Client, broker: Broker) -> None:
        assert "Allowed: tests.handlers.samples.*" in admin_client.get(ADD).content.decode()
        admin_client.post(ADD, consumer_form(broker, handler="", handler_path=f"{SAMPLES}.good.unregistered"))
        assert Consumer.objects.get().handler == f"{SAMPLES}.good.unregistered"

    def test_a_typed_path_replaces_the_current_one(self, admin_client: Client, consumer: Consumer) -> None:
        form = consumer_form(consumer.broker, handler_path=f"{SAMPLES}.good.unregistered")
        admin_client.post(change_url(consumer), form)
        assert Consumer.objects.get().handler == f"{SAMPLES}.good.unregistered"
        assert "handler" in AuditEntry.objects.get().data["changed"]

    @pytest.mark.parametrize(
        ("path", "why"),
        [
            ("os.system", "is not a registered handler"),
            (f"{SAMPLES}.good.system", "is really posix.system"),
            (f"{SAMPLES}.good.nothing", "has no 'nothing'"),
            (f"{SAMPLES}.broken.f", "RuntimeError: no ledger today"),
            (f"{SAMPLES}.missing.f", "there is no module"),
        ],
    )
    def test_any_other_is_refused_with_the_reason(
        self, admin_client: Client, broker: Broker, path: str, why: str
    ) -> None:
        response = admin_client.post(ADD, consumer_form(broker, handler="", handler_path=path))
        assert any(why in error for error in said(response))
        assert not Consumer.objects.exists()

    def test_both_or_neither_is_refused(self, admin_client: Client, broker: Broker) -> None:
        both = admin_client.post(ADD, consumer_form(broker, handler_path=f"{SAMPLES}.good.unregistered"))
        assert any("not both" in error for error in said(both))
        neither = admin_client.post(ADD, consumer_form(broker, handler=""))
        assert said(neither) == ["Choose a handler."]

    def test_a_reader_sees_no_field_for_it(self, client_of: Callable[..., Client], consumer: Consumer) -> None:
        response = client_of("view_consumer").get(change_url(consumer))
        assert response.status_code == 200
        assert b'name="handler_path"' not in response.content


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"destination": "/queue/a b"}, "blanks"),
        ({"destination": "/queue/*"}, "stands for many"),
        ({"dead_letter_destination": "/queue/orders"}, "for ever"),
        ({"concurrency": "0"}, "greater than or equal to 1"),
        ({"name": "<script>alert(1)</script>"}, "Enter a valid"),
        ({"broker": "999"}, "Select a valid choice"),
        ({"retry_factor": "nan"}, "Enter a number"),
    ],
)
def test_bad_input_is_refused_in_words(admin_client: Client, broker: Broker, fields: dict[str, str], why: str) -> None:
    response = admin_client.post(ADD, consumer_form(broker, **fields))
    assert any(why in error for error in said(response))
    assert b"<script>alert(1)" not in response.content


def test_a_slash_is_refused_on_rabbitmq_with_the_spelling_that_works(admin_client: Client, broker: Broker) -> None:
    Broker.objects.update(kind="rabbitmq")
    response = admin_client.post(ADD, consumer_form(broker, destination="/queue/a/b"))
    assert any("/queue/a%2Fb" in error for error in said(response))


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"ack_mode": "auto"}, "is lost"),
        ({"ack_mode": "client", "concurrency": "4"}, "holds up the others"),
        ({"prefetch": "2", "concurrency": "4"}, "2 handler threads will never have work"),
        ({"destination": "orders"}, "neither /queue/ nor /topic/"),
        ({"destination": "/topic/prices", "instances": "2"}, "handled more than once"),
    ],
)
def test_what_works_but_may_not_be_meant_is_said(
    admin_client: Client, broker: Broker, fields: dict[str, str], advice: str
) -> None:
    response = admin_client.post(ADD, consumer_form(broker, **fields), follow=True)
    assert Consumer.objects.exists()
    assert advice in messages_of(response)


def test_a_sound_consumer_gets_no_advice(admin_client: Client, broker: Broker) -> None:
    response = admin_client.post(ADD, consumer_form(broker), follow=True)
    assert "orders: " not in messages_of(response)


def test_taking_the_dead_letters_of_another_is_said(admin_client: Client, consumer: Consumer) -> None:
    form = consumer_form(consumer.broker, name="second", destination="/queue/DLQ.orders")
    response = admin_client.post(ADD, form, follow=True)
    assert "dead letters of orders are captured" in messages_of(response)


class TestPausing:
    """Who paused it, and when, is on the row and in the audit."""

    def test_a_tick_in_the_form_pauses(self, admin_client: Client, consumer: Consumer) -> None:
        form = consumer_form(consumer.broker, paused="on", paused_reason="deploy")
        admin_client.post(change_url(consumer), form)
        consumer.refresh_from_db()
        assert consumer.paused_by is not None
        assert (consumer.paused_by.get_username(), consumer.paused_reason) == ("admin", "deploy")
        assert consumer.paused_at is not None
        assert "consumer paused" in AuditEntry.objects.values_list("action", flat=True)

        admin_client.post(change_url(consumer), consumer_form(consumer.broker, paused_reason="deploy"))
        consumer.refresh_from_db()
        assert (consumer.paused, consumer.paused_by, consumer.paused_at, consumer.paused_reason) == (
            False,
            None,
            None,
            "",
        )

    def test_the_selected_are_paused_and_resumed(self, admin_client: Client, consumer: Consumer) -> None:
        for action, paused in (("pause", True), ("resume", False)):
            response = admin_client.post(LIST, {"action": action, "_selected_action": [consumer.pk]}, follow=True)
            consumer.refresh_from_db()
            assert consumer.paused is paused
            assert f"consumer {action}d" in messages_of(response)
        assert list(AuditEntry.objects.values_list("action", flat=True)) == ["consumer resumed", "consumer paused"]

    def test_pausing_twice_keeps_who_did_it_first(self, admin_client: Client, consumer: Consumer) -> None:
        consumer.mark_paused(None, "night shift")
        consumer.save()
        admin_client.post(LIST, {"action": "pause", "_selected_action": [consumer.pk]})
        consumer.refresh_from_db()
        assert consumer.paused_reason == "night shift"
        assert not AuditEntry.objects.exists()

    def test_the_actions_need_the_permission_to_operate(
        self, client_of: Callable[..., Client], consumer: Consumer
    ) -> None:
        client = client_of("view_consumer")
        assert b"Pause the selected" not in client.get(LIST).content
        client.post(LIST, {"action": "pause", "_selected_action": [consumer.pk]})
        consumer.refresh_from_db()
        assert not consumer.paused

    def test_with_it_a_reader_may(self, client_of: Callable[..., Client], consumer: Consumer) -> None:
        client = client_of("view_consumer", "operate_consumer")
        client.post(LIST, {"action": "pause", "_selected_action": [consumer.pk]})
        consumer.refresh_from_db()
        assert consumer.paused


class TestDeleting:
    """The page says what goes and what stays, however many figures there are."""

    def test_figures_are_not_listed_and_dead_letters_stay(self, admin_client: Client, consumer: Consumer) -> None:
        now = timezone.now()
        for hour in range(20):
            ThroughputBucket.objects.create(consumer=consumer, width_s=10, start=now + timezone.timedelta(hours=hour))
        DeadLetter.objects.create(
            consumer=consumer, consumer_name="orders", destination="/queue/DLQ.orders", body=b"", body_size=0,
            state_at=now, failed_at=now, captured_at=now,
        )  # fmt: skip
        url = reverse("admin:stompconsole_consumer_delete", args=[consumer.pk])
        page = admin_client.get(url).content.decode()
        assert "1 dead letter is kept" in page
        assert "Throughput" not in page

        admin_client.post(url, {"post": "yes"})
        assert not Consumer.objects.exists()
        assert not ThroughputBucket.objects.exists()
        assert DeadLetter.objects.get().consumer is None
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.target, entry.consumer) == ("consumer deleted", "consumer orders", None)

    def test_deleting_the_selected_is_audited_one_by_one(self, admin_client: Client, consumer: Consumer) -> None:
        form = {"action": "delete_selected", "_selected_action": [consumer.pk], "post": "yes"}
        admin_client.post(LIST, form)
        assert AuditEntry.objects.get().action == "consumer deleted"

    def test_it_needs_the_permission(self, client_of: Callable[..., Client], consumer: Consumer) -> None:
        url = reverse("admin:stompconsole_consumer_delete", args=[consumer.pk])
        assert client_of("view_consumer", "change_consumer").post(url, {"post": "yes"}).status_code == 403
        assert Consumer.objects.exists()


def test_the_list_says_how_each_stands(admin_client: Client, consumer: Consumer) -> None:
    page = admin_client.get(LIST).content.decode()
    assert "no worker is running" in page
    assert "/queue/orders" in page


def test_the_list_reads_the_standing_once_for_all(
    admin_client: Client, consumer: Consumer, django_assert_max_num_queries: Callable[..., object]
) -> None:
    for number in range(20):
        Consumer.objects.create(
            name=f"c{number}", broker=consumer.broker, destination=f"/queue/{number}", handler=HANDLER
        )
    with django_assert_max_num_queries(20):  # type: ignore[attr-defined]
        assert admin_client.get(LIST).status_code == 200


def test_search_and_filters_work(admin_client: Client, consumer: Consumer) -> None:
    for query in (
        {"q": "orders"},
        {"paused__exact": "0"},
        {"broker__id__exact": consumer.broker.pk},
        {"q": "'\" OR 1=1"},
    ):
        assert admin_client.get(LIST, query).status_code == 200


def test_the_form_leads_to_the_console(admin_client: Client, consumer: Consumer) -> None:
    page = admin_client.get(change_url(consumer)).content.decode()
    assert f'href="{reverse("stompconsole:consumer", args=["orders"])}"' in page


def test_hostile_text_from_a_broker_is_escaped(admin_client: Client, consumer: Consumer) -> None:
    Consumer.objects.update(handler="<img src=x onerror=alert(1)>", paused=True, paused_reason="<script>1</script>")
    for url in (LIST, change_url(consumer)):
        page = admin_client.get(url).content.decode()
        assert "<img src=x" not in page
        assert "<script>1</script>" not in page


@pytest.mark.parametrize("permissions", [(), ("view_console",), ("view_broker",)])
def test_without_permission_there_is_no_page(
    client_of: Callable[..., Client], consumer: Consumer, permissions: tuple[str, ...]
) -> None:
    client = client_of(*permissions)
    assert client.get(LIST).status_code == 403
    assert client.get(change_url(consumer)).status_code == 403
    assert client.post(ADD, consumer_form(consumer.broker, name="x")).status_code == 403


def test_a_reader_can_not_write(client_of: Callable[..., Client], consumer: Consumer) -> None:
    client = client_of("view_consumer")
    assert client.get(change_url(consumer)).status_code == 200
    assert client.post(change_url(consumer), consumer_form(consumer.broker, prefetch="1")).status_code == 403
    consumer.refresh_from_db()
    assert consumer.prefetch == 100


def test_a_rule_of_redaction_that_can_not_be_read_is_refused_with_how_to_write_it(
    admin_client: Client, broker: Broker
) -> None:
    response = admin_client.post(ADD, consumer_form(broker, redact="x-token\r\ncard.number"))
    assert said(response) == ["'card.number' could be a header or a path: write header:card.number or $.card.number."]
    admin_client.post(ADD, consumer_form(broker, redact="x-token\r\n$.card.number"))
    assert Consumer.objects.get().redact.splitlines() == ["x-token", "$.card.number"]

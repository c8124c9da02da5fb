"""The broker's form: secrets go in and never come out, settings have the last word on the default row."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client, override_settings
from django.urls import reverse
from django.views.debug import get_exception_reporter_filter

from stompconsole.models import AuditEntry, Broker, Consumer
from stompconsole.models.default_broker import keep_default_broker
from stompconsole.models.secrets import Undecipherable
from tests.admin.forms import PASSWORD, broker_form, messages_of, said

LIST = reverse("admin:stompconsole_broker_changelist")
ADD = reverse("admin:stompconsole_broker_add")
STOMP = {"STOMP_SERVER_HOST": "settings.example", "STOMP_SERVER_PORT": "61613", "STOMP_SERVER_PASSWORD": PASSWORD}


def change_url(broker: Broker) -> str:
    return reverse("admin:stompconsole_broker_change", args=[broker.pk])


class TestSecrets:
    """Whatever page, log or record: the password is not in it."""

    def test_a_password_typed_in_is_stored_and_told_to_nobody(
        self, admin_client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            response = admin_client.post(ADD, broker_form(password=PASSWORD, tls_key_password=PASSWORD), follow=True)
        broker = Broker.objects.get()
        assert broker.password.reveal() == broker.tls_key_password.reveal() == PASSWORD
        assert PASSWORD not in response.content.decode() + caplog.text

    def test_pages_do_not_have_it(self, admin_client: Client, broker: Broker) -> None:
        history = reverse("admin:stompconsole_broker_history", args=[broker.pk])
        delete = reverse("admin:stompconsole_broker_delete", args=[broker.pk])
        for url in (LIST, change_url(broker), history, delete):
            assert PASSWORD not in admin_client.get(url).content.decode()

    def test_a_form_sent_back_with_errors_does_not_have_it(self, admin_client: Client, broker: Broker) -> None:
        response = admin_client.post(change_url(broker), broker_form(password="typed-just-now", port="x"))
        assert response.status_code == 200
        assert b"typed-just-now" not in response.content
        assert PASSWORD not in response.content.decode()

    def test_a_reader_sees_that_there_is_one_and_no_more(
        self, client_of: Callable[..., Client], broker: Broker
    ) -> None:
        page = client_of("view_broker").get(change_url(broker)).content.decode()
        assert PASSWORD not in page
        assert "********" in page

    def test_records_name_the_field_and_not_the_value(self, admin_client: Client, broker: Broker) -> None:
        admin_client.post(change_url(broker), broker_form(password="brand new one", user="other"))
        assert Broker.objects.get().password.reveal() == "brand new one"
        entry = AuditEntry.objects.get()
        assert entry.data == {"changed": ["password", "user"]}
        assert "password: changed" in entry.detail
        assert "user: app -> other" in entry.detail
        logged = LogEntry.objects.get()
        told = f"{entry.detail} {entry.data} {logged.change_message} {logged.object_repr} {logged.get_change_message()}"
        assert PASSWORD not in told
        assert "brand new" not in told
        assert "Password" in logged.get_change_message()

    def test_saving_the_form_as_it_stands_keeps_it(self, admin_client: Client, broker: Broker) -> None:
        admin_client.post(change_url(broker), broker_form(vhost="/v"))
        assert Broker.objects.get().password.reveal() == PASSWORD
        assert AuditEntry.objects.get().data == {"changed": ["vhost"]}

    def test_it_can_be_cleared(self, admin_client: Client, broker: Broker) -> None:
        admin_client.post(change_url(broker), broker_form(**{"password-clear": "on"}))
        assert Broker.objects.get().password == ""

    @pytest.mark.parametrize(
        "query", ["password__startswith=g", "password=x", "tls_key_password__regex=.", "management_password=x"]
    )
    def test_the_list_can_not_be_asked_about_it(self, admin_client: Client, broker: Broker, query: str) -> None:
        response = admin_client.get(f"{LIST}?{query}")
        assert response.status_code == 302
        assert response["Location"].endswith("?e=1")

    def test_a_lost_key_is_said_and_breaks_no_page(self, admin_client: Client, broker: Broker) -> None:
        # Sessions are signed with the same key: only the row's is swapped.
        Broker.objects.filter(pk=broker.pk).update(password=Undecipherable("gAAAA-of-another-key"))
        assert admin_client.get(LIST).status_code == 200
        page = admin_client.get(change_url(broker)).content.decode()
        assert "Can&#x27;t be decrypted: enter it again." in page
        admin_client.post(change_url(broker), broker_form(vhost="/v"))
        assert isinstance(Broker.objects.get().password, Undecipherable)
        admin_client.post(change_url(broker), broker_form(password="entered again"))
        assert Broker.objects.get().password.reveal() == "entered again"

    def test_clearing_one_whose_key_is_lost_is_audited(self, admin_client: Client, broker: Broker) -> None:
        Broker.objects.filter(pk=broker.pk).update(password=Undecipherable("gAAAA-of-another-key"))
        admin_client.post(change_url(broker), broker_form(**{"password-clear": "on"}))
        assert not Broker.objects.get().password
        assert AuditEntry.objects.get().data == {"changed": ["password"]}

    def test_error_reports_leave_it_out(self, admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: object, **kwargs: object) -> None:
            raise RuntimeError("while saving")

        monkeypatch.setattr(Broker, "save", fail)
        admin_client.raise_request_exception = False
        response = admin_client.post(ADD, broker_form(password=PASSWORD))
        assert response.status_code == 500
        request = response.wsgi_request
        reported = get_exception_reporter_filter(request).get_post_parameters(request)
        assert PASSWORD not in reported.values()
        assert reported["user"] == "app"


class TestKeptBySettings:
    """The row named default while STOMP_* are set."""

    @pytest.fixture(autouse=True)
    def _kept(self, db: None) -> None:
        with override_settings(**STOMP):
            keep_default_broker()

    @override_settings(**STOMP)
    def test_what_the_settings_decide_is_read_only_and_says_why(self, admin_client: Client) -> None:
        page = admin_client.get(change_url(Broker.objects.get())).content.decode()
        assert "STOMP_SERVER_HOST" in page
        assert "can&#x27;t be edited here" in page or "can't be edited here" in page
        for field in ("host", "port", "password", "user"):
            assert f'name="{field}"' not in page
        assert 'name="dead_letter_via"' in page
        assert PASSWORD not in page

    @override_settings(**STOMP)
    def test_what_is_sent_all_the_same_is_ignored(self, admin_client: Client) -> None:
        form = broker_form(name="mine", host="evil.example", password="x", dead_letter_via="nack")
        admin_client.post(change_url(Broker.objects.get()), form)
        broker = Broker.objects.get()
        assert (broker.name, broker.host, broker.dead_letter_via) == ("default", "settings.example", "nack")
        assert broker.password.reveal() == PASSWORD

    @override_settings(**STOMP)
    def test_it_can_not_be_deleted(self, admin_client: Client) -> None:
        broker = Broker.objects.get()
        url = reverse("admin:stompconsole_broker_delete", args=[broker.pk])
        assert admin_client.post(url, {"post": "yes"}).status_code == 403
        admin_client.post(LIST, {"action": "delete_selected", "_selected_action": [broker.pk], "post": "yes"})
        assert Broker.objects.exists()

    def test_without_the_settings_it_is_a_row_like_any_other(self, admin_client: Client) -> None:
        page = admin_client.get(change_url(Broker.objects.get())).content.decode()
        assert 'name="host"' in page


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"standby_host": "b"}, "both a host and a port"),
        ({"standby_port": "1"}, "both a host and a port"),
        ({"host": "stomp://x"}, "bare host name"),
        ({"port": "0"}, "greater than or equal to 1"),
        ({"port": "70000"}, "less than or equal to 65535"),
        ({"name": "a b"}, "Enter a valid"),
        ({"connect_timeout_s": "inf"}, "Enter a number"),
    ],
)
def test_bad_input_is_refused_in_words(admin_client: Client, fields: dict[str, str], why: str) -> None:
    response = admin_client.post(ADD, broker_form(**fields))
    assert any(why in error for error in said(response))
    assert not Broker.objects.exists()


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"dead_letter_via": "nack", "kind": "rabbitmq"}, "requeued at once"),
        ({"dead_letter_via": "nack", "kind": "artemis"}, "removed as if ACKed"),
        ({"heartbeat_receive_ms": "0"}, "died in silence"),
        ({"use_tls": "on", "tls_verify": ""}, "not verified"),
    ],
)
def test_what_works_but_may_not_be_meant_is_said(admin_client: Client, fields: dict[str, str], advice: str) -> None:
    form = {name: value for name, value in broker_form(**fields).items() if value or name != "tls_verify"}
    response = admin_client.post(ADD, form, follow=True)
    assert advice in messages_of(response)


def test_the_form_says_what_nack_means_on_each_kind(admin_client: Client) -> None:
    page = admin_client.get(ADD).content.decode()
    assert "RabbitMQ: requeued at once." in page
    assert "ActiveMQ Artemis: removed as if ACKed." in page


def test_a_broker_with_consumers_is_protected(admin_client: Client, consumer: Consumer) -> None:
    url = reverse("admin:stompconsole_broker_delete", args=[consumer.broker.pk])
    assert "would require deleting the following protected" in admin_client.get(url).content.decode()
    admin_client.post(url, {"post": "yes"})
    assert Broker.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_broker_without_is_deleted_and_audited(admin_client: Client, broker: Broker) -> None:
    admin_client.post(reverse("admin:stompconsole_broker_delete", args=[broker.pk]), {"post": "yes"})
    assert not Broker.objects.exists()
    assert AuditEntry.objects.get().action == "broker deleted"


def test_the_list_leads_to_the_consumers(admin_client: Client, consumer: Consumer) -> None:
    page = admin_client.get(LIST).content.decode()
    assert f"?broker__id__exact={consumer.broker.pk}" in page
    assert "127.0.0.1:61613" in page


def test_without_permission_there_is_no_page(client_of: Callable[..., Client], broker: Broker) -> None:
    client = client_of("view_consumer")
    assert client.get(LIST).status_code == 403
    assert client.post(ADD, broker_form(name="x")).status_code == 403

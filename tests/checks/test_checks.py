"""System checks: each trouble has an id, the words and a hint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from stompconsole import checks, handlers
from stompconsole.models import Broker, Consumer, Subscription
from stompconsole.models.secrets import Undecipherable

APPS = list(django_settings.INSTALLED_APPS)


def ids(found: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in found]


def test_the_project_as_it_stands_is_clean() -> None:
    assert run_checks(tags=[checks.TAG]) == []


def test_wrong_settings_are_one_error_each() -> None:
    with override_settings(STOMPCONSOLE={"LEASE": "x", "NO": 1}):
        found = checks.check_settings()
    assert ids(found) == ["stompconsole.E001", "stompconsole.E001"]
    assert 'STOMPCONSOLE["LEASE"]' in found[0].msg
    assert all(message.hint for message in found)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("DEFAULT_STOMP_SSL_VERSION", "stomp.py ignored it already"),
        ("DEFAULT_STOMP_CERT_VALIDATOR", "it came after the handshake"),
    ],
)
def test_a_setting_of_django_stomp_that_does_nothing_here_is_named_with_the_reason(name: str, why: str) -> None:
    with override_settings(**{name: print}):
        found = checks.check_settings()
    assert ids(found) == ["stompconsole.W001"]
    assert f"{name} has no effect: {why}" in found[0].msg


def test_settings_that_do_not_go_together_are_a_warning_each() -> None:
    with override_settings(STOMP_SERVER_USER="u", STOMP_PROCESS_MSG_WORKERS=2, STOMP_PROCESS_MSG_ON_BACKGROUND=False):
        found = checks.check_settings()
    assert ids(found) == ["stompconsole.W005"] * 2
    assert all(message.hint for message in found)


class TestTls:
    """Of the broker that the settings describe."""

    STOMP = {"STOMP_SERVER_HOST": "mq.example", "STOMP_USE_SSL": True}

    def test_verified_and_with_no_files_there_is_nothing_to_say(self) -> None:
        with override_settings(**self.STOMP):
            assert checks.check_tls() == []

    def test_not_verified_is_a_warning(self) -> None:
        with override_settings(STOMPCONSOLE={"TLS_VERIFY": False}):
            found = checks.check_tls()
        assert ids(found) == ["stompconsole.W006"]
        assert "TLS_VERIFY" in found[0].msg
        assert "DEFAULT_STOMP_CA_CERTS" in str(found[0].hint)

    @pytest.mark.parametrize("name", ["DEFAULT_STOMP_CA_CERTS", "DEFAULT_STOMP_CERT_FILE"])
    @pytest.mark.parametrize("content", [None, "no certificate"])
    def test_a_file_that_can_not_be_used_is_a_warning_that_names_it(
        self, tmp_path: Path, name: str, content: str | None
    ) -> None:
        path = tmp_path / "file.pem"
        if content:
            path.write_text(content)
        with override_settings(**self.STOMP, **{name: path}):
            found = checks.check_tls()
        assert ids(found) == ["stompconsole.W007"]
        assert str(path) in found[0].msg

    def test_files_are_not_looked_at_without_tls(self) -> None:
        with override_settings(STOMP_SERVER_HOST="mq.example", DEFAULT_STOMP_CA_CERTS="/gone.pem"):
            assert checks.check_tls() == []

    def test_wrong_settings_are_told_by_another_check(self) -> None:
        with override_settings(STOMP_USE_SSL="maybe", STOMPCONSOLE={"TLS_VERIFY": False}):
            assert checks.check_tls() == []


def without(name: str) -> list[str]:
    return [app for app in APPS if app != name]


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (["channels", *without("channels")], "stompconsole.E002"),
        (without("django_htmx"), "stompconsole.E003"),
    ],
)
def test_apps_that_are_missing_or_in_the_wrong_order_are_named(installed: list[str], expected: str) -> None:
    with override_settings(INSTALLED_APPS=installed):
        assert ids(checks.check_apps()) == [expected]


def test_the_app_may_be_named_by_its_config() -> None:
    named = ["stompconsole.apps.StompConsoleConfig" if app == "stompconsole" else app for app in APPS]
    with override_settings(INSTALLED_APPS=named):
        assert checks.check_apps() == []


def test_the_middleware_of_htmx_is_needed() -> None:
    with override_settings(MIDDLEWARE=[]):
        assert ids(checks.check_apps()) == ["stompconsole.E004"]


@pytest.mark.parametrize("layers", [{}, {"other": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}])
def test_a_channel_layer_is_needed_and_the_line_to_add_is_said(layers: dict[str, object]) -> None:
    with override_settings(CHANNEL_LAYERS=layers):
        found = checks.check_channel_layer()
    assert ids(found) == ["stompconsole.E005"]
    assert "InMemoryChannelLayer" in str(found[0].hint)


def test_a_channel_layer_that_is_not_installed_is_named() -> None:
    with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "not_installed_layer.core.Layer"}}):
        assert ids(checks.check_channel_layer()) == ["stompconsole.E006"]


def test_a_module_of_handlers_that_does_not_import_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers._register, "failures", {"orders.handlers": "SyntaxError: x"})
    found = checks.check_handler_modules()
    assert ids(found) == ["stompconsole.E007"]
    assert "orders.handlers does not import: SyntaxError: x" in found[0].msg


class TestRows:
    """Looked at only when a database is named, and never in the way of ``migrate``."""

    @pytest.fixture
    def broker(self, db: None) -> Broker:
        return Broker.objects.create(name="b", kind="rabbitmq")

    @pytest.fixture
    def consumer(self, broker: Broker) -> Consumer:
        return Consumer.objects.create(name="orders", broker=broker, destination="/queue/x", handler="gone.handlers.f")

    def test_a_consumer_without_its_handler_is_a_warning(self, consumer: Consumer) -> None:
        found = checks.check_rows(databases=["default"])
        assert ids(found) == ["stompconsole.W002"]
        assert "Consumer orders: 'gone.handlers.f' is not a registered handler" in found[0].msg

    def test_a_rule_of_redaction_that_can_not_be_read_is_a_warning(self, consumer: Consumer) -> None:
        Consumer.objects.update(redact="card.number", handler="stompconsole.project.handlers.orders")
        found = [each for each in checks.check_rows(databases=["default"]) if each.id == "stompconsole.W010"]
        assert ["write header:card.number or $.card.number" in each.msg for each in found] == [True]

    def test_no_row_is_read_unless_a_database_is_named(
        self, consumer: Consumer, django_assert_num_queries: Callable[..., object]
    ) -> None:
        with django_assert_num_queries(0):  # type: ignore[attr-defined]
            assert checks.check_rows() == []

    @pytest.mark.parametrize(("kind", "expected"), [("rabbitmq", 1), ("artemis", 1), ("activemq", 0), ("auto", 0)])
    def test_dead_lettering_by_a_nack_that_does_not_is_a_warning(
        self, broker: Broker, kind: str, expected: int
    ) -> None:
        Broker.objects.update(dead_letter_via="nack", kind=kind)
        assert ids(checks.check_rows(databases=["default"])) == ["stompconsole.W003"] * expected

    def test_the_kind_may_be_known_by_its_greeting(self, broker: Broker, consumer: Consumer) -> None:
        Consumer.objects.update(handler="stompconsole.project.handlers.orders")
        Broker.objects.update(dead_letter_via="nack", kind="auto")
        Subscription.objects.create(consumer=consumer, slot="1", server="ActiveMQ-Artemis/2.44.0")
        found = checks.check_rows(databases=["default"])
        assert ids(found) == ["stompconsole.W003"]
        assert "removed as if ACKed" in found[0].msg

    def test_a_password_whose_key_is_lost_is_a_warning(self, broker: Broker) -> None:
        Broker.objects.update(password=Undecipherable("gAAAA-of-another-key"))
        assert ids(checks.check_rows(databases=["default"])) == ["stompconsole.W004"]

    def test_a_broker_whose_certificate_is_not_verified_is_a_warning(self, broker: Broker) -> None:
        Broker.objects.update(use_tls=True, tls_verify=False)
        found = checks.check_rows(databases=["default"])
        assert ids(found) == ["stompconsole.W008"]
        assert "Broker b: the broker's certificate is not verified" in found[0].msg

    def test_a_file_of_a_broker_that_can_not_be_used_here_is_a_warning(self, broker: Broker, tmp_path: Path) -> None:
        Broker.objects.update(use_tls=True, tls_ca_certs=str(tmp_path / "gone.pem"))
        found = checks.check_rows(databases=["default"])
        assert ids(found) == ["stompconsole.W007"]
        assert "gone.pem" in found[0].msg

    @pytest.mark.parametrize(
        ("kind", "asked", "words"),
        [
            ("rabbitmq", {"exclusive": True, "instances": 2}, "set instances to 1"),
            ("activemq", {"durable": True, "destination": "/topic/x", "instances": 2}, "set instances to 1"),
            ("generic", {"durable": True, "destination": "/topic/x"}, "no durable subscriptions"),
            ("generic", {"exclusive": True}, "no exclusive subscriptions"),
            ("rabbitmq", {"destination": "/queue/a/b"}, "no slash inside a name"),
        ],
    )
    def test_what_a_broker_can_not_do_is_a_warning(
        self, consumer: Consumer, kind: str, asked: dict[str, object], words: str
    ) -> None:
        Consumer.objects.update(handler="stompconsole.project.handlers.orders", **asked)
        Broker.objects.update(kind=kind)
        found = checks.check_rows(databases=["default"])
        assert set(ids(found)) == {"stompconsole.W009"}
        assert any(words in message.msg for message in found)

    def test_a_broker_that_no_worker_has_met_is_not_judged(self, consumer: Consumer) -> None:
        Consumer.objects.update(handler="stompconsole.project.handlers.orders", exclusive=True, durable=True)
        Broker.objects.update(kind="auto")
        assert checks.check_rows(databases=["default"]) == []

    @pytest.mark.django_db(transaction=True)
    def test_tables_that_are_not_there_yet_are_no_trouble(self) -> None:
        with connection.schema_editor() as editor:
            editor.alter_db_table(Consumer, "stompconsole_consumer", "stompconsole_hidden")
        try:
            assert checks.check_rows(databases=["default"]) == []
        finally:
            with connection.schema_editor() as editor:
                editor.alter_db_table(Consumer, "stompconsole_hidden", "stompconsole_consumer")

    def test_the_command_reports_them(self, consumer: Consumer, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("check", databases=["default"])
        assert "stompconsole.W002" in capsys.readouterr().err

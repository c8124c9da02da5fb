"""STOMPCONSOLE and STOMP_* as one typed value, and what is said when they are wrong."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.test import override_settings

from stompconsole import conf
from stompconsole.conf import StompSettings, settings_now
from stompconsole.conf.stomp import WITHOUT_EFFECT
from stompconsole.errors import ConfigurationError
from stompconsole.models.consumer import MAX_THREADS
from stompconsole.models.default_broker import from_settings
from stompconsole.models.names import validate_identifier

STOMP = {"STOMP_SERVER_HOST": "broker.example", "STOMP_SERVER_PORT": "61613"}


def test_defaults_need_nothing() -> None:
    settings = settings_now()
    assert (settings.poll_interval_s, settings.lease_s, settings.heartbeat_s, settings.stale_after_s) == (1, 10, 1, 5)
    assert settings.graceful_wait_s == 30
    assert settings.handlers == ()
    assert settings.stomp is None
    assert conf.problems() == ()


def test_the_value_is_read_again_after_a_setting_changed() -> None:
    assert settings_now().lease_s == 10
    with override_settings(STOMPCONSOLE={"LEASE": 4}):
        assert settings_now().lease_s == 4
    assert settings_now().lease_s == 10


def test_importing_needs_no_configured_django() -> None:
    code = "import stompconsole.conf, stompconsole.handlers, stompconsole"
    subprocess.run([sys.executable, "-c", code], check=True, env={"DJANGO_SETTINGS_MODULE": "", "PATH": ""}, timeout=60)


@override_settings(STOMPCONSOLE={"LEASE": timedelta(seconds=20), "POLL_INTERVAL": "0.5", "HANDLERS": ["orders.*"]})
def test_seconds_may_be_a_number_a_text_or_a_timedelta() -> None:
    assert settings_now().lease_s == 20.0
    assert settings_now().poll_interval_s == 0.5
    assert settings_now().handlers == ("orders.*",)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"LEESE": 3}, ["'LEESE'", "Did you mean LEASE?", "POLL_INTERVAL"]),
        ({"LEASE": "soon"}, ['STOMPCONSOLE["LEASE"]', "'soon'", "number of seconds above 0"]),
        ({"REDACT": ["card.number"]}, ['STOMPCONSOLE["REDACT"]', "write header:card.number or $.card.number"]),
        ({"REDACT": "x-token"}, ['STOMPCONSOLE["REDACT"]', "a list of texts"]),
        ({"DEPTHS_EVERY": 0}, ['STOMPCONSOLE["DEPTHS_EVERY"]', "from 0.1 up to a day"]),
        ({"LEASE": -1}, ['STOMPCONSOLE["LEASE"]', "-1", "above 0"]),
        ({"LEASE": True}, ['STOMPCONSOLE["LEASE"]', "True"]),
        ({"LEASE": float("nan")}, ['STOMPCONSOLE["LEASE"]', "nan"]),
        ({"LEASE": None}, ['STOMPCONSOLE["LEASE"]', "None"]),
        ({"HANDLERS": "orders.*"}, ['STOMPCONSOLE["HANDLERS"]', "'orders.*'", "a list of texts"]),
        ({"HANDLERS": ["*"]}, ['STOMPCONSOLE["HANDLERS"]', "dotted paths"]),
        ({"HANDLERS": ["o*.system"]}, ["dotted paths"]),
        ({"MAX_BODY_SHOWN": 1.5}, ['STOMPCONSOLE["MAX_BODY_SHOWN"]', "1.5", "whole number"]),
        ({"THROUGHPUT_KEEP": (1, 2)}, ["three spans"]),
        ({"LEASE": 1}, ["LEASE", "at least twice HEARTBEAT"]),
        ({"TRY_SECONDS": 0}, ['STOMPCONSOLE["TRY_SECONDS"]', "0.1 up to an hour"]),
        ({"TRY_HANDLERS": "perhaps"}, ['STOMPCONSOLE["TRY_HANDLERS"]', "'perhaps'", "yes"]),
        ({"STALE_AFTER": 1}, ["STALE_AFTER", "more than HEARTBEAT"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(given: dict[str, object], words: list[str]) -> None:
    with override_settings(STOMPCONSOLE=given), pytest.raises(ConfigurationError) as raised:
        settings_now()
    for word in words:
        assert word in str(raised.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with override_settings(STOMPCONSOLE={"LEASE": "x", "NO": 1}, STOMP_USE_SSL="maybe"):
        assert len(conf.problems()) == 3


def test_something_else_than_a_dict_is_refused() -> None:
    with override_settings(STOMPCONSOLE=["LEASE"]), pytest.raises(ConfigurationError, match="must be a dict"):
        settings_now()


def test_a_wrong_secret_is_not_shown() -> None:
    with override_settings(STOMPCONSOLE={"SECRET_KEYS": ["hunter2"]}), pytest.raises(ConfigurationError) as raised:
        settings_now()
    assert "hunter2" not in str(raised.value)
    assert "Fernet" in str(raised.value)


def test_secrets_are_not_in_the_repr() -> None:
    key = Fernet.generate_key().decode()
    with override_settings(
        STOMPCONSOLE={"SECRET_KEYS": [key], "METRICS_TOKEN": "tok"}, STOMP_SERVER_PASSWORD="pw", **STOMP
    ):
        shown = repr(settings_now())
    assert key not in shown
    assert "tok" not in shown
    assert "pw" not in shown


def test_stomp_settings_are_read_from_texts_as_the_environment_has_them() -> None:
    with override_settings(
        **STOMP, STOMP_SERVER_USER="u", STOMP_OUTGOING_HEARTBEAT="4000", STOMP_INCOMING_HEARTBEAT=None,
        STOMP_PROCESS_MSG_WORKERS="", STOMP_GRACEFUL_WAIT_SECONDS="5", STOMP_WAIT_TO_CONNECT="3",
    ):  # fmt: skip
        settings = settings_now()
    assert settings.stomp is not None
    assert (settings.stomp.host, settings.stomp.port, settings.stomp.user) == ("broker.example", 61613, "u")
    assert (settings.stomp.outgoing_heartbeat_ms, settings.stomp.incoming_heartbeat_ms) == (4000, 0)
    assert settings.stomp.process_workers is None
    assert (settings.stomp.wait_to_connect_s, settings.graceful_wait_s) == (3, 5)


def test_stomp_settings_have_django_stomps_defaults() -> None:
    with override_settings(**STOMP):
        stomp = settings_now().stomp
    assert stomp is not None
    assert (stomp.outgoing_heartbeat_ms, stomp.incoming_heartbeat_ms) == (10_000, 10_000)
    assert stomp.correlation_id_required
    assert stomp.process_on_background
    assert not stomp.use_ssl


def test_the_graceful_wait_holds_without_a_host_too() -> None:
    with override_settings(STOMP_GRACEFUL_WAIT_SECONDS=0):
        assert settings_now().graceful_wait_s == 0
        assert settings_now().stomp is None


@pytest.mark.parametrize("word", [True, "true", "1", 1, "T", "y", "Yes", "ON", " t "])
def test_words_for_yes(word: object) -> None:
    with override_settings(**STOMP, STOMP_USE_SSL=word):
        stomp = settings_now().stomp
    assert stomp is not None
    assert stomp.use_ssl


@pytest.mark.parametrize("word", [False, "false", "0", 0, "f", "N", "no", "Off", ""])
def test_words_for_no(word: object) -> None:
    with override_settings(**STOMP, STOMP_CORRELATION_ID_REQUIRED=word):
        stomp = settings_now().stomp
    assert stomp is not None
    assert not stomp.correlation_id_required


@pytest.mark.parametrize("word", ["2", "maybe", "tru", "none"])
def test_any_other_word_is_an_error_that_names_setting_value_and_allowed(word: str) -> None:
    with override_settings(STOMP_USE_SSL=word), pytest.raises(ConfigurationError) as raised:
        settings_now()
    assert "STOMP_USE_SSL" in str(raised.value)
    assert repr(word) in str(raised.value)
    assert "yes, on" in str(raised.value)


@pytest.mark.parametrize("password", [".", "none", "None", " x ", "a:b\\c", "0"])
def test_a_password_is_what_it_is(password: str) -> None:
    with override_settings(**STOMP, STOMP_SERVER_PASSWORD=password, DEFAULT_STOMP_SSL_PASSWORD=password):
        stomp = settings_now().stomp
    assert stomp is not None
    assert (stomp.password, stomp.ssl_password) == (password, password)


@pytest.mark.parametrize("host", ["tcp://mq.example", "mq.example/", "mq example", "mq.example\n", 5])
@pytest.mark.parametrize("name", ["STOMP_SERVER_HOST", "STOMP_SERVER_STANDBY_HOST"])
def test_a_host_that_is_none_is_refused(name: str, host: object) -> None:
    with override_settings(**{name: host}), pytest.raises(ConfigurationError, match=name):
        settings_now()


@pytest.mark.parametrize("name", ["STOMP_LISTENER_CLIENT_ID", "STOMP_SUBSCRIPTION_ID"])
def test_a_name_for_subscriptions_is_one_that_a_row_takes_too(name: str) -> None:
    for word in ("shop", "shop-1.x", "größe", "a b", "a:b", "a/b", "a\tb"):
        with override_settings(**{name: word}):
            refused = bool(conf.problems())
        if refused:
            with pytest.raises(ValidationError):
                validate_identifier(word)
        else:
            validate_identifier(word)


@pytest.mark.parametrize(
    ("value", "allowed"), [("0.1", True), (86_400, True), (0, False), ("0.05", False), (True, False), ("soon", False)]
)
def test_the_pause_between_attempts_is_one_that_a_row_takes_too(value: object, allowed: bool) -> None:
    with override_settings(**STOMP, STOMP_WAIT_TO_CONNECT=value):
        assert (conf.problems() == ()) is allowed
        if allowed:
            stomp = settings_now().stomp
            assert stomp is not None
            from_settings(stomp).clean_fields(exclude=["name"])


def test_as_many_workers_are_allowed_as_a_row_takes() -> None:
    with override_settings(**STOMP, STOMP_PROCESS_MSG_WORKERS=MAX_THREADS):
        assert conf.problems() == ()
    with override_settings(**STOMP, STOMP_PROCESS_MSG_WORKERS=MAX_THREADS + 1):
        assert "STOMP_PROCESS_MSG_WORKERS" in conf.problems()[0]


@pytest.mark.parametrize(
    ("settings", "threads", "prefetch"),
    [
        ({}, 1, 10),
        ({"STOMP_PROCESS_MSG_WORKERS": "4"}, 4, 40),
        ({"STOMP_PROCESS_MSG_ON_BACKGROUND": "no"}, 1, 1),
        ({"STOMP_PROCESS_MSG_ON_BACKGROUND": "no", "STOMP_PROCESS_MSG_WORKERS": "4"}, 1, 1),
    ],
)
def test_workers_and_background_say_how_much_is_taken_at_once(
    settings: dict[str, str], threads: int, prefetch: int
) -> None:
    stomp = conf.stomp_with(settings)
    assert (stomp.threads, stomp.prefetch) == (threads, prefetch)


def test_verification_of_tls_is_on_unless_it_is_switched_off() -> None:
    for given, verified in [({}, True), ({"TLS_VERIFY": "no"}, False), ({"TLS_VERIFY": True}, True)]:
        with override_settings(**STOMP, STOMPCONSOLE=given):
            stomp = settings_now().stomp
        assert stomp is not None
        assert stomp.tls_verify is verified


def test_a_process_has_the_project_s_settings_and_those_it_is_started_with() -> None:
    with override_settings(**STOMP, STOMP_PROCESS_MSG_WORKERS=2, STOMPCONSOLE={"TLS_VERIFY": False}):
        stomp = conf.stomp_with({"STOMP_PROCESS_MSG_WORKERS": "5", "LANG": "C", "STOMP_NEW": "x"})
    assert (stomp.host, stomp.process_workers, stomp.tls_verify) == ("broker.example", 5, False)
    with pytest.raises(ConfigurationError, match="STOMP_PROCESS_MSG_WORKERS is 'x'"):
        conf.stomp_with({"STOMP_PROCESS_MSG_WORKERS": "x"})


def test_a_key_without_its_certificate_is_refused() -> None:
    with (
        override_settings(**STOMP, DEFAULT_STOMP_KEY_FILE=Path("key.pem")),
        pytest.raises(ConfigurationError, match=r"DEFAULT_STOMP_KEY_FILE is 'key\.pem'.*CERT_FILE is not set"),
    ):
        settings_now()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"STOMP_SERVER_USER": "u"}, "STOMP_SERVER_HOST is not set, so STOMP_SERVER_USER has no effect"),
        ({"STOMP_USE_SSL": 1, "STOMP_SERVER_PORT": 1}, "so STOMP_SERVER_PORT, STOMP_USE_SSL has no effect"),
        (
            {**STOMP, "DEFAULT_STOMP_CA_CERTS": "ca.pem"},
            "STOMP_USE_SSL is off, so DEFAULT_STOMP_CA_CERTS has no effect",
        ),
        ({**STOMP, "STOMP_SERVER_PASSWORD": "x"}, "STOMP_SERVER_PASSWORD is set without STOMP_SERVER_USER"),
        (
            {"STOMP_PROCESS_MSG_WORKERS": 2, "STOMP_PROCESS_MSG_ON_BACKGROUND": False},
            "STOMP_PROCESS_MSG_WORKERS has no effect while STOMP_PROCESS_MSG_ON_BACKGROUND is off",
        ),
        ({"STOMP_DURABLE_TOPIC_SUBSCRIPTION": True}, "on without STOMP_LISTENER_CLIENT_ID"),
    ],
)
def test_what_has_no_effect_as_the_others_stand_is_said(settings: dict[str, object], words: str) -> None:
    with override_settings(**settings):
        (said,) = conf.doubts()
        assert conf.problems() == ()
    assert words in said


def test_settings_that_go_together_leave_no_doubt() -> None:
    with override_settings(
        **STOMP, STOMP_SERVER_USER="u", STOMP_SERVER_PASSWORD="p", STOMP_USE_SSL=True, DEFAULT_STOMP_CA_CERTS="ca.pem",
        STOMP_DURABLE_TOPIC_SUBSCRIPTION=True, STOMP_LISTENER_CLIENT_ID="shop", STOMP_PROCESS_MSG_WORKERS=2,
    ):  # fmt: skip
        assert conf.doubts() == ()
    assert conf.doubts() == ()


CHANGED = {
    "STOMP_SERVER_HOST": ("host", "other.example", "other.example"),
    "STOMP_SERVER_PORT": ("port", "61614", 61_614),
    "STOMP_SERVER_STANDBY_HOST": ("standby_host", "c", "c"),
    "STOMP_SERVER_STANDBY_PORT": ("standby_port", "61615", 61_615),
    "STOMP_SERVER_USER": ("user", "u", "u"),
    "STOMP_SERVER_PASSWORD": ("password", "p", "p"),
    "STOMP_SERVER_VHOST": ("vhost", "/shop", "/shop"),
    "STOMP_SUBSCRIPTION_ID": ("subscription_id", "s", "s"),
    "STOMP_OUTGOING_HEARTBEAT": ("outgoing_heartbeat_ms", "5000", 5_000),
    "STOMP_INCOMING_HEARTBEAT": ("incoming_heartbeat_ms", "0", 0),
    "STOMP_USE_SSL": ("use_ssl", "T", True),
    "DEFAULT_STOMP_KEY_FILE": ("key_file", Path("/k.pem"), "/k.pem"),
    "DEFAULT_STOMP_CERT_FILE": ("cert_file", "/d.pem", "/d.pem"),
    "DEFAULT_STOMP_CA_CERTS": ("ca_certs", "/ca.pem", "/ca.pem"),
    "DEFAULT_STOMP_SSL_PASSWORD": ("ssl_password", "p", "p"),
    "STOMP_WAIT_TO_CONNECT": ("wait_to_connect_s", "5", 5.0),
    "STOMP_DURABLE_TOPIC_SUBSCRIPTION": ("durable_topic_subscription", "y", True),
    "STOMP_LISTENER_CLIENT_ID": ("listener_client_id", "shop", "shop"),
    "STOMP_CORRELATION_ID_REQUIRED": ("correlation_id_required", "N", False),
    "STOMP_PROCESS_MSG_ON_BACKGROUND": ("process_on_background", "f", False),
    "STOMP_PROCESS_MSG_WORKERS": ("process_workers", "3", 3),
    "STOMP_GRACEFUL_WAIT_SECONDS": ("graceful_wait_s", "5", 5.0),
    "STOMP_DEFAULT_EXCLUSIVE_QUEUE": ("default_exclusive_queue", "1", True),
}


@pytest.mark.parametrize("name", CHANGED)
def test_every_setting_of_django_stomp_is_read_again_when_it_changes(name: str) -> None:
    attribute, value, expected = CHANGED[name]
    rest = {"STOMP_SERVER_STANDBY_HOST": "b", "STOMP_SERVER_STANDBY_PORT": 1, "DEFAULT_STOMP_CERT_FILE": "/c.pem"}
    with override_settings(**{**STOMP, **rest}):
        before = settings_now().stomp
        assert getattr(before, attribute) != expected
        with override_settings(**{name: value}):
            assert getattr(settings_now().stomp, attribute) == expected
        assert settings_now().stomp == before


def test_each_of_them_is_either_used_or_said_to_have_no_effect() -> None:
    assert set(CHANGED) | set(WITHOUT_EFFECT) == set(conf.STOMP_SETTING_NAMES)
    used = {attribute for attribute, _, _ in CHANGED.values()}
    assert used | {"tls_verify"} == {field.name for field in dataclasses.fields(StompSettings)}


def test_half_a_standby_is_refused() -> None:
    with (
        override_settings(**STOMP, STOMP_SERVER_STANDBY_HOST="b"),
        pytest.raises(ConfigurationError, match="STANDBY_PORT"),
    ):
        settings_now()


@pytest.mark.parametrize("port", ["abc", 0, 70_000, "1.5"])
def test_a_wrong_port_is_refused(port: object) -> None:
    with override_settings(STOMP_SERVER_PORT=port), pytest.raises(ConfigurationError, match="STOMP_SERVER_PORT"):
        settings_now()

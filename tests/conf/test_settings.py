"""STOMPCONSOLE and STOMP_* as one typed value, and what is said when they are wrong."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.test import override_settings

from stompconsole import conf
from stompconsole.conf import settings_now
from stompconsole.errors import ConfigurationError

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

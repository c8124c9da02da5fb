"""What the project form reads from its environment: safe without any, refusing what it does not know."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from stompconsole import conf
from stompconsole.project.environment import flag, secret_key, words

SHOW = """
import json
from stompconsole.project import settings as s
from stompconsole.conf import STOMP_SETTING_NAMES
shown = {name: getattr(s, name) for name in dir(s) if name.isupper() and name not in ("LOGGING", "TEMPLATES")}
print(json.dumps(shown, default=str))
"""


def settings_with(var: Path, **environment: str) -> dict[str, Any]:
    """The project's settings as a fresh process with this environment has them."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SHOW], capture_output=True, text=True, timeout=60, check=False,
        env={**kept, "STOMPCONSOLE_VAR": str(var), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def test_without_any_it_is_safe_and_needs_nothing(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    assert settings["DEBUG"] is False
    assert settings["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert settings["DATABASES"]["default"]["NAME"] == str(tmp_path / "db.sqlite3")
    assert "WAL" in settings["DATABASES"]["default"]["OPTIONS"]["init_command"]
    assert settings["DATABASES"]["default"]["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert settings["CHANNEL_LAYERS"]["default"]["BACKEND"] == "channels.layers.InMemoryChannelLayer"
    assert settings["STOMPCONSOLE"] == {}
    assert "STOMP_SERVER_HOST" not in settings


def test_the_environment_takes_it_to_other_infrastructure(tmp_path: Path) -> None:
    settings = settings_with(
        tmp_path, DATABASE_URL="postgres://u:p@db.example:5433/console", REDIS_URL="redis://cache.example/1",
        STOMP_SERVER_HOST="mq.example", STOMP_USE_SSL="yes", ALLOWED_HOSTS="a.example, b.example",
        CSRF_TRUSTED_ORIGINS="https://a.example", DEBUG="1", HTTPS="on", SECRET_KEY="given",
    )  # fmt: skip
    database = settings["DATABASES"]["default"]
    assert (database["ENGINE"], database["HOST"], database["PORT"]) == (
        "django.db.backends.postgresql",
        "db.example",
        5433,
    )
    assert "init_command" not in database["OPTIONS"]
    host = {"address": "redis://cache.example/1", "socket_timeout": None}
    assert settings["CHANNEL_LAYERS"]["default"]["CONFIG"] == {"hosts": [host]}
    assert (settings["STOMP_SERVER_HOST"], settings["STOMP_USE_SSL"]) == ("mq.example", "yes")
    assert settings["ALLOWED_HOSTS"] == ["a.example", "b.example"]
    assert settings["SECRET_KEY"] == "given"
    assert settings["DEBUG"] is True
    assert settings["SESSION_COOKIE_SECURE"] is True
    assert settings["SECURE_SSL_REDIRECT"] is True
    assert not (tmp_path / "secret_key").exists()


def test_a_postgres_that_is_gone_is_noticed_soon_unless_the_url_says_otherwise(tmp_path: Path) -> None:
    url = "postgres://u:p@db.example/console?connect_timeout=60&sslmode=require"
    options = settings_with(tmp_path, DATABASE_URL=url)["DATABASES"]["default"]["OPTIONS"]
    assert (options["connect_timeout"], options["sslmode"], options["tcp_user_timeout"]) == (60, "require", 15_000)


@pytest.mark.long
def test_the_key_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    first, second = settings_with(tmp_path / "new"), settings_with(tmp_path / "new")
    assert first["SECRET_KEY"] == second["SECRET_KEY"]
    assert len(first["SECRET_KEY"]) >= 50
    assert stat.S_IMODE((tmp_path / "new" / "secret_key").stat().st_mode) == 0o600


@pytest.mark.long
def test_processes_that_start_together_agree_on_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    with ThreadPoolExecutor(4) as pool:
        starts = [pool.submit(settings_with, tmp_path) for _ in range(4)]
        keys = {start.result()["SECRET_KEY"] for start in starts}
    assert keys == {secret_key(tmp_path / "secret_key")}
    assert [path.name for path in tmp_path.glob("secret_key*")] == ["secret_key"]


@pytest.mark.parametrize(("word", "meant"), [("1", True), ("Yes", True), ("off", False), ("", False), (" t ", True)])
def test_flags_know_the_words_for_yes_and_no(monkeypatch: pytest.MonkeyPatch, word: str, meant: bool) -> None:
    monkeypatch.setenv("A_FLAG", word)
    assert flag("A_FLAG") is meant


def test_any_other_word_ends_the_start_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_FLAG", "maybe")
    with pytest.raises(ImproperlyConfigured, match=r"A_FLAG is 'maybe'; allowed are true"):
        flag("A_FLAG")


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_LIST", " a, b,,c ")
    assert words("A_LIST") == ["a", "b", "c"]
    assert words("NO_LIST") == []
    monkeypatch.delenv("ALLOWED_HOSTS", raising=False)
    assert words("ALLOWED_HOSTS") == ["localhost", "127.0.0.1", "[::1]"]


@pytest.mark.long
def test_keys_of_the_console_are_variables_with_its_name_before_them(tmp_path: Path) -> None:
    settings = settings_with(
        tmp_path, STOMPCONSOLE_TLS_VERIFY="no", STOMPCONSOLE_HANDLERS="orders.*, shop.tasks.*",
        STOMPCONSOLE_THROUGHPUT_KEEP="1,2,3", STOMPCONSOLE_METRICS_TOKEN="a,b", STOMPCONSOLE_LEASE="",
    )  # fmt: skip
    assert settings["STOMPCONSOLE"] == {
        "HANDLERS": ["orders.*", "shop.tasks.*"], "TLS_VERIFY": "no", "THROUGHPUT_KEEP": ["1", "2", "3"],
        "METRICS_TOKEN": "a,b",
    }  # fmt: skip
    with override_settings(STOMPCONSOLE=settings["STOMPCONSOLE"]):
        assert conf.problems() == ()

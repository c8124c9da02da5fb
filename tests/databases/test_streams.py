"""Open pages and PostgreSQL, which has few connections to give."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from tests.support import processes
from tests.support.ports import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.slow

BROWSERS = 15
STREAM = "/console/stream/?page=overview"


@pytest.fixture
def console(postgres_rows: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a web server."""
    port = free_port()
    env = {
        "DJANGO_SETTINGS_MODULE": "stompconsole.project.settings",
        "DATABASE_URL": postgres_rows,
        "SECRET_KEY": settings.SECRET_KEY,
        "STOMPCONSOLE_VAR": str(tmp_path),
    }
    command = [sys.executable, "-m", "daphne", "-p", str(port), "stompconsole.project.asgi:application"]
    with processes.start(command, env=env) as server:
        server.wait_for_line("Listening on")
        yield f"http://127.0.0.1:{port}"


def session_of_an_operator() -> dict[str, str]:
    """The cookie of somebody who is logged in."""
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    return {settings.SESSION_COOKIE_NAME: client.cookies[settings.SESSION_COOKIE_NAME].value}


def other_connections() -> int:
    """How many connections to this database there are beside ours."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        count: int = cursor.fetchone()[0]
        return count


def test_all_open_pages_share_one_connection(console: str) -> None:
    with ExitStack() as browsers:
        client = browsers.enter_context(httpx.Client(base_url=console, cookies=session_of_an_operator(), timeout=20))
        for _ in range(BROWSERS):
            stream = browsers.enter_context(client.stream("GET", STREAM, headers={"Accept": "text/event-stream"}))
            assert stream.status_code == 200
            parts = stream.iter_raw()
            assert next(parts).startswith(b"retry:")
        while b"event:" not in next(parts):
            pass
        until(lambda: other_connections() <= 1, what="the streams have given their connections back")
    until(lambda: other_connections() == 0, what="nobody looks any more")

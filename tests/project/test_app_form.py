"""The app form: a blank project that adds us to its settings and urls, and edits nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = """
INSTALLED_APPS += ["django_htmx", "stompconsole", "channels", "orders"]
MIDDLEWARE += ["django_htmx.middleware.HtmxMiddleware"]
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
"""

URLS = """
from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("console/", include("stompconsole.urls"))]
"""

HANDLERS = """
import stompconsole


@stompconsole.handler
def price_of(payload):
    "Prices an order."
"""

VISIT = """
from django.contrib.auth.models import User
from django.test import Client

client = Client(SERVER_NAME="localhost")
client.force_login(User.objects.create_superuser("ada"))
for path in ("/console/", "/admin/stompconsole/broker/add/", "/admin/stompconsole/consumer/add/"):
    response = client.get(path)
    assert response.status_code == 200, (path, response.status_code)
assert b"orders.handlers.price_of: Prices an order." in response.content
"""


@pytest.fixture
def blank_project(tmp_path: Path) -> Path:
    """What ``startproject`` makes, beside a copy of the package laid out as the wheel is."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, target in ({name: name for name in wheel["packages"]} | wheel["force-include"]).items():
        shutil.copytree(ROOT / source, tmp_path / "installed" / target)
    start = [sys.executable, "-m", "django", "startproject", "shop", str(tmp_path)]
    subprocess.run(start, check=True, timeout=60, env={"PATH": os.environ["PATH"]})
    return tmp_path


def manage(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the blank project with the copied package before the checkout."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=project, capture_output=True, text=True, timeout=60, check=False,
        env={**environment, "PYTHONPATH": f"{project / 'installed'}{os.pathsep}{project}"},
    )  # fmt: skip


def add_to(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write(text)


@pytest.mark.long
def test_a_blank_project_needs_settings_and_urls_alone(blank_project: Path) -> None:
    add_to(blank_project / "shop" / "settings.py", SETTINGS)
    (blank_project / "shop" / "urls.py").write_text(URLS)
    add_to(blank_project / "orders" / "handlers.py", HANDLERS)
    for command in ("check --fail-level WARNING", "migrate -v0", "makemigrations --check"):
        done = manage(blank_project, *command.split())
        assert done.returncode == 0, done.stdout + done.stderr
    done = manage(blank_project, "shell", "-c", VISIT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_a_project_that_puts_us_after_channels_is_told_to_move_us(blank_project: Path) -> None:
    settings = SETTINGS.replace('"stompconsole", "channels", "orders"', '"channels", "stompconsole"')
    add_to(blank_project / "shop" / "settings.py", settings)
    (blank_project / "shop" / "urls.py").write_text(URLS)
    done = manage(blank_project, "check")
    assert done.returncode != 0
    assert 'Move "stompconsole" before "channels"' in done.stderr

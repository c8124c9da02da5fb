"""The project's settings with what tests need: nothing taken from the machine, nothing left in the checkout."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if "STOMPCONSOLE_TEST_RUN" not in os.environ:
    # A developer's own broker, database or Redis must not leak in; processes that tests start get what tests give.
    for _name in [name for name in os.environ if name.startswith("STOMP_")] + ["DATABASE_URL", "REDIS_URL", "DEBUG"]:
        os.environ.pop(_name, None)
    _folder = tempfile.mkdtemp(prefix="stompconsole-tests-")
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)
    os.environ["STOMPCONSOLE_VAR"] = os.environ["STOMPCONSOLE_TEST_RUN"] = _folder

from stompconsole.project.settings import *  # noqa: F403
from stompconsole.project.settings import DATABASES

SECRET_KEY = "tests-need-no-secret"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file: threads and processes of a test share it, which SQLite's memory can't do without locking everybody out.
    DATABASES["default"]["TEST"] = {"NAME": str(Path(os.environ["STOMPCONSOLE_TEST_RUN"]) / "tests.sqlite3")}

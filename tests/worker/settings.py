"""Settings of the worker processes that tests start: the project's own, some handlers, short times."""

from __future__ import annotations

import json
import os

from stompconsole.project.settings import *  # noqa: F403
from stompconsole.project.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.worker.sample"]
STOMPCONSOLE = json.loads(os.environ.get("TEST_STOMPCONSOLE", "{}"))
STOMP_GRACEFUL_WAIT_SECONDS = os.environ.get("TEST_GRACEFUL_WAIT", "10")

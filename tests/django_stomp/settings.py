"""Settings of processes whose handlers ask the database: the project's own, with the age of connections given."""

from __future__ import annotations

import os

from stompconsole.project.settings import *  # noqa: F403
from stompconsole.project.settings import DATABASES

DATABASES["default"]["CONN_MAX_AGE"] = int(os.environ["TEST_CONN_MAX_AGE"])

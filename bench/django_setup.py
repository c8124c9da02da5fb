"""Django on the database that ``DATABASE_URL`` names, in the process of a variant."""

from __future__ import annotations

import os

import django


def set_up() -> None:
    """Before anything of the project that touches rows is imported."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stompconsole.project.settings")
    django.setup()

"""The project's own app: brings the sample handlers of the demo."""

from __future__ import annotations

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """An installed app, so that ``handlers.py`` beside it is discovered."""

    name = "stompconsole.project"
    label = "stompconsole_project"
    verbose_name = "Sample handlers"

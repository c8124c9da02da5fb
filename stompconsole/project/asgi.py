"""The ASGI application of the project form."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stompconsole.project.settings")

application = get_asgi_application()

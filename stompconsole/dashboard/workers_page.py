"""What the workers' page shows and what of it changes while it is open."""

from __future__ import annotations

from django.template.loader import render_to_string

from stompconsole.dashboard.stream.fragments import Fragments
from stompconsole.metrics.queries import workers_ever


def workers_fragments() -> Fragments:
    """The table's body. Two queries."""
    workers, now = workers_ever()
    return {"workers": render_to_string("stompconsole/parts/workers_all.html", {"workers": workers, "now": now})}

"""Ways from the admin into the console."""

from __future__ import annotations

from django.urls import NoReverseMatch, reverse


def console(page: str, *args: str) -> str | None:
    """The address of a page of the console; None when the project has not mounted it."""
    try:
        return reverse(f"stompconsole:{page}", args=args)
    except NoReverseMatch:
        return None

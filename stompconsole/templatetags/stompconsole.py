"""How values read in templates: the dashboard's formats as filters."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.contrib.messages.storage.base import Message
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from stompconsole.dashboard import cells, drawing, formats
from stompconsole.dashboard.letter import schedule
from stompconsole.dashboard.shell import RESTORE_TAG, UNDO_TAG

register = template.Library()

_UNDO = {UNDO_TAG: "stompconsole:undo", RESTORE_TAG: "stompconsole:retries-restore"}

register.filter("number", formats.number)
register.filter("rate", formats.rate)
register.filter("size", formats.size)
register.filter("took", formats.took)
register.filter("exact", formats.exact)
register.filter("worker_pill", cells.worker_pill)
register.filter("slot_pill", cells.slot_pill)
register.filter("retry_step", schedule.step)


@register.filter
def counted(count: int, words: str) -> str:
    """``{{ 3|counted:"message" }}``; a plural that is no plain s as ``"entry,entries"``."""
    one, _, many = words.partition(",")
    return formats.plural(count, one, many)


@register.filter
def moment(then: datetime | None, now: datetime) -> SafeString:
    """A relative time, ticking, with the exact one in its title."""
    return cells.moment(then, now)


@register.filter
def pill(word: str) -> SafeString:
    """A state as a pill."""
    return cells.pill(word)


@register.filter
def share(count: int, total: int) -> SafeString:
    """A bar: how much of ``total`` a count is."""
    return drawing.meter(count / total if total else 0)


@register.simple_tag
def locked_unless(allowed: bool, act: str) -> SafeString:  # noqa: FBT001 - a template passes a permission
    """Attributes of a button: none when ``allowed``, else disabled with the reason."""
    if allowed:
        return SafeString("")
    return format_html(' disabled title="You may not {0}: ask for the permission to {0}."', act)


@register.filter
def undo_of(message: Message) -> str:
    """What undoes the act that a message tells of; "" when nothing does."""
    tags = str(message.extra_tags or "")
    return next((tags.removeprefix(tag) for tag in _UNDO if tags.startswith(tag)), "")


@register.filter
def undo_url(message: Message) -> str:
    """Where what undoes it is posted to."""
    tags = str(message.extra_tags or "")
    return next((reverse(url) for tag, url in _UNDO.items() if tags.startswith(tag)), "")

"""What is said of a message that is to be tried again: when, and how often it still can be."""

from __future__ import annotations

from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString

from stompconsole.dashboard import cells
from stompconsole.models import DeadLetter, DeadLetterState

ASKED = "Retry"
"""The error type of a failure by which the handler itself asked to be called again."""


def step(letter: DeadLetter) -> str:
    """``step 1 of 3`` of its consumer's long steps, or why it waits else."""
    if letter.error_type == ASKED:
        return "as its handler asked"
    if not letter.retry_step:
        return "one of its short retries"
    known = letter.consumer.retry_steps if letter.consumer is not None else 0
    # The consumer may have been given fewer steps since.
    return f"step {letter.retry_step} of {max(known, letter.retry_step)}"


def state(letter: DeadLetter, now: datetime) -> SafeString:
    """Its state as a pill; of what is scheduled also when it is tried again."""
    pill = cells.pill(letter.state)
    if letter.state != DeadLetterState.SCHEDULED:
        return pill
    return format_html("{} is tried again {} ({}) ·", pill, cells.moment(letter.due_at, now), step(letter))

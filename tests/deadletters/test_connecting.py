"""The database connection of a capture: kept while batches are large, given back after small ones, replaced if lost."""

from __future__ import annotations

import pytest
from django.db import connection

from stompconsole.deadletters import connecting
from stompconsole.deadletters.capture import MANY
from stompconsole.models import DeadLetter
from tests.deadletters.making import Captures, died, make_consumer

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_is_kept_from_one_large_batch_to_the_next() -> None:
    captures = Captures(make_consumer())
    captures.give(*[(died(), b"{}") for _ in range(MANY)])
    kept = connection.connection
    assert kept is not None
    captures.give(*[(died(), b"{}") for _ in range(MANY)])
    assert connection.connection is kept
    assert DeadLetter.objects.count() == 2 * MANY


def test_it_is_given_back_after_a_small_batch() -> None:
    captures = Captures(make_consumer())
    captures.give(*[(died(), b"{}") for _ in range(MANY)])
    captures.give((died(), b"{}"))
    assert connection.connection is None


def test_one_that_failed_is_opened_anew() -> None:
    connection.ensure_connection()
    before = connection.connection
    connection.errors_occurred = True
    connecting.make_ready()
    assert DeadLetter.objects.count() == 0
    assert connection.connection is not before

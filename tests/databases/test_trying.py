"""Handlers tried on PostgreSQL: what they write is rolled back there too, what only a commit would find is found."""

from __future__ import annotations

import pytest

from stompconsole.deadletters.trying.attempt import OF_THE_TRANSACTION
from stompconsole.models import Broker, Consumer, TrialItemState
from tests.deadletters.trials import allowed, tried

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("postgres_rows")]


def test_what_a_handler_writes_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with allowed(monkeypatch):
        found = tried("writes", "writes_in_bulk", "writes_durably", "writes_in_a_thread", "writes_async", "commits")
    passed = {name for name, each in found.items() if each.state is TrialItemState.PASSED}
    assert passed == {"writes", "writes_in_bulk", "writes_durably", "writes_in_a_thread", "writes_async"}
    assert found["commits"].state is TrialItemState.SKIPPED
    assert not Broker.objects.filter(name="written").exists()


def test_a_constraint_that_waits_for_the_commit_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    with allowed(monkeypatch):
        found = tried("breaks_a_constraint", "swallows_an_error")
    broken = found["breaks_a_constraint"]
    assert (broken.state, broken.error_type) == (TrialItemState.FAILED, "django.db.utils.IntegrityError")
    assert not Consumer.objects.filter(name="broken").exists()
    # Outside of a transaction the next query would have worked.
    assert found["swallows_an_error"].notes[0] == OF_THE_TRANSACTION

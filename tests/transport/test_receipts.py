"""Who is told what became of a frame: once each, whatever others do."""

from __future__ import annotations

from functools import partial

import pytest

from stompconsole.errors import SessionClosed
from stompconsole.transport.outcome import Outcome
from stompconsole.transport.receipts import Receipts

Seen = list[tuple[str, BaseException | None]]


def waiting(receipts: Receipts, seen: Seen, *names: str) -> list[str]:
    return [receipts.expect(partial(lambda name, error: seen.append((name, error)), name)) for name in names]


def test_each_is_told_once() -> None:
    receipts, seen = Receipts(), Seen()
    first, second = waiting(receipts, seen, "first", "second")
    for _ in range(2):
        receipts.confirm(second)
        receipts.refuse(first, "Not that one")
    receipts.end("lost")
    assert [(name, str(error or "")) for name, error in seen] == [("second", ""), ("first", "Not that one")]


def test_after_the_end_it_is_told_at_once() -> None:
    receipts, seen = Receipts(), Seen()
    receipts.end("lost")
    assert waiting(receipts, seen, "late") == [""]
    [(_, error)] = seen
    assert isinstance(error, SessionClosed)


def test_one_that_fails_does_not_keep_the_others_from_being_told(caplog: pytest.LogCaptureFixture) -> None:
    receipts, seen = Receipts(), Seen()

    def failing(error: BaseException | None) -> None:
        raise RuntimeError("a bug")

    receipts.expect(failing)
    waiting(receipts, seen, "other")
    receipts.end("lost")
    assert [name for name, _ in seen] == ["other"]
    assert "telling what became of a frame failed" in caplog.text


def test_what_the_broker_may_have_carried_out_is_not_cancelled() -> None:
    outcome = Outcome()
    assert not outcome.cancel()
    outcome.tell(None)
    assert outcome.result(0) is None


def test_one_that_is_refused_by_name_only_is_not_meant_by_an_error_that_names_none() -> None:
    receipts, seen = Receipts(), Seen()
    named = receipts.expect(lambda error: seen.append(("named", error)), by_name=True)
    (other,) = waiting(receipts, seen, "other")
    receipts.refuse(None, "Not that one")
    assert [name for name, _ in seen] == ["other"]
    receipts.refuse(named, "Nor this")
    receipts.confirm(other)
    assert [(name, str(error)) for name, error in seen] == [("other", "Not that one"), ("named", "Nor this")]

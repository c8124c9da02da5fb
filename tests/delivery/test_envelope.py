"""Our headers on dead letters: written, read back, kept small, taken off."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from stompconsole.brokers import dialect_for
from stompconsole.delivery import envelope
from stompconsole.delivery.envelope import Earlier, Envelope

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def made(**changes: object) -> Envelope:
    fields: dict[str, object] = {
        "dead_letter_id": "d1", "failure_id": "f1", "consumer": "orders", "handler": "orders.handlers.price_of",
        "origin": "/queue/orders", "error_type": "KeyError", "error_message": "'sku'",
        "traceback": "Traceback\nKeyError",
        "attempts": 3, "first_failed_at": NOW, "failed_at": NOW, "worker": "web-1:4121", "message_id": "ID:1",
    }  # fmt: skip
    return Envelope(**{**fields, **changes})  # type: ignore[arg-type]


def test_what_is_written_is_read_back() -> None:
    assert envelope.read(made().headers()) == made()


def test_a_parked_message_says_when_it_is_due_and_how_many_steps_are_used() -> None:
    parked = made(due_at=NOW, retry_step=2)
    assert envelope.read(parked.headers()) == parked
    assert parked.headers()[envelope.DUE_AT] == NOW.isoformat()


def test_a_due_time_that_can_t_be_read_leaves_it_dead() -> None:
    read = envelope.read({**made(due_at=NOW).headers(), envelope.DUE_AT: "tomorrow"})
    assert read is not None
    assert read.due_at is None


def test_a_retry_goes_on_where_it_was_and_an_operators_replay_does_not() -> None:
    earlier = Earlier(attempts=3, retry_step=1, first_failed_at=NOW)
    replay = envelope.replay_headers(made().headers(), dialect_for("rabbitmq", ""), dead_letter_id="d1", replay_id="9")
    assert envelope.earlier({**replay, **earlier.headers()}, "orders") == earlier
    assert envelope.earlier(replay, "orders") is None
    of_another = {**replay, **earlier.headers(), envelope.CONSUMER: "ledger"}
    assert envelope.earlier(of_another, "orders") is None
    assert envelope.earlier({**earlier.headers(), **made().headers()}, "orders") is None, "it was never sent back"


def test_a_message_without_our_ids_is_not_ours() -> None:
    assert envelope.read({"x": "1"}) is None
    assert envelope.read({envelope.DEAD_LETTER_ID: "d1"}) is None


@given(text=st.text(max_size=20_000))
def test_no_header_grows_past_what_every_broker_takes(text: str) -> None:
    headers = made(error_message=text, traceback=text, error_type=text, worker=text, message_id=text).headers()
    assert all(len(value.encode()) <= 4_000 for value in headers.values())
    assert len(headers) <= 20


def test_a_long_traceback_keeps_its_innermost_frames() -> None:
    long = "\n".join(f"frame {n}" for n in range(5_000))
    assert made(traceback=long).headers()[envelope.TRACEBACK].endswith("frame 4999")


def test_nonsense_in_our_headers_is_read_without_failing() -> None:
    headers = {
        **made().headers(),
        envelope.ATTEMPTS: "many",
        envelope.FAILED_AT: "yesterday",
        envelope.FIRST_FAILED_AT: "",
    }
    read = envelope.read(headers)
    assert read is not None
    assert read.attempts == 0
    assert read.failed_at.tzinfo is not None


def test_a_replay_carries_the_teams_headers_and_its_own_ids_alone() -> None:
    captured = {
        **made().headers(), "x-tenant": "7", "content-type": "application/json", "content-length": "2", "ack": "1",
        "message-id": "m", "subscription": "s", "receipt": "r1", "redelivered": "true",
        "destination": "/queue/DLQ.orders",
        "x-death": "no", "x-first-death-queue": "orders", "correlation-id": "c1",
    }  # fmt: skip
    sent = envelope.replay_headers(captured, dialect_for("rabbitmq", ""), dead_letter_id="d1", replay_id="9")
    assert sent == {
        "x-tenant": "7", "content-type": "application/json", "content-length": "2", "correlation-id": "c1",
        envelope.DEAD_LETTER_ID: "d1", envelope.REPLAY_ID: "9",
    }  # fmt: skip

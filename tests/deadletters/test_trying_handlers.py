"""Handlers really tried, in the process for it: what comes of each, and that nothing of it is left."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from stompconsole.deadletters.trying import trial_rows
from stompconsole.deadletters.trying.attempt import CONSUMER_DELETED, OF_THE_TRANSACTION
from stompconsole.deadletters.trying.nursery import Kept
from stompconsole.deadletters.trying.verdict import MAX_OUTPUT
from stompconsole.models import Broker, DeadLetter, DeadLetterState, TrialItem, TrialItemState
from tests.deadletters.making import Captures, died, make_dead_letters
from tests.deadletters.trials import allowed, consumer_of, letter_of, lives, tried, verdicts
from tests.deadletters.tried import TOTALS
from tests.support.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with allowed(monkeypatch):
        yield


def written() -> int:
    return Broker.objects.filter(name="written").count()


def test_what_returns_would_pass_and_shows_what_it_printed_and_logged() -> None:
    letter = letter_of("passes")
    [found] = verdicts(letter)
    assert (found.state, found.error_type, found.notes) == (TrialItemState.PASSED, "", ())
    assert found.seconds is not None
    assert 0 <= found.seconds < 5
    assert found.output == "priced {'order': 1}\nWARNING team: a line of the log\nto stderr\n"
    assert DeadLetter.objects.get().state == DeadLetterState.DEAD


def test_what_raises_would_fail_with_its_error_its_traceback_and_its_output() -> None:
    found = tried("fails")["fails"]
    assert (found.state, found.error_type, found.error_message) == (TrialItemState.FAILED, "KeyError", "'sku'")
    assert 'raise KeyError("sku")' in found.traceback
    assert found.output == "before\n"


def test_what_a_handler_decides_is_told_by_its_name() -> None:
    found = tried("nacks", "retries", "rejects", "acks_and_raises", "exits")
    assert [(each.state, each.error_type) for each in found.values()] == [
        (TrialItemState.FAILED, "nack"),
        (TrialItemState.FAILED, "Retry"),
        (TrialItemState.FAILED, "Reject"),
        (TrialItemState.PASSED, "KeyError"),
        (TrialItemState.FAILED, "SystemExit"),
    ]
    assert found["nacks"].notes == ("It would be dead-lettered: the handler called nack().",)
    assert "after it had called ack()" in found["acks_and_raises"].notes[0]


def test_it_gets_what_a_replay_would_give_it() -> None:
    headers = {"color": "red", "message-id": "old", "stompconsole-error-type": "KeyError", "correlation-id": "c-1"}
    letter = letter_of("shows")
    DeadLetter.objects.update(headers=headers, message_id="original")
    [found] = verdicts(letter)
    for shown in ("('color', 'red')", "('message-id', 'original')", "('correlation-id', 'c-1')", "trial-"):
        assert shown in found.output
    assert "error-type" not in found.output


def test_what_a_handler_writes_is_never_committed_however_it_writes() -> None:
    found = tried("writes", "writes_in_bulk", "writes_durably", "writes_in_a_thread", "writes_async")
    assert {name: (each.state, each.error_message) for name, each in found.items()} == dict.fromkeys(
        found, (TrialItemState.PASSED, "")
    )
    assert found["writes"].output == found["writes_async"].output == "sees 1\n"
    assert written() == 0
    # And nobody is locked out by what is left of them.
    Broker.objects.create(name="another")


def test_what_commits_by_hand_is_not_tried_further_and_says_so() -> None:
    found = tried("commits", "commits_and_hides_it", "commits_by_django")
    for name in ("commits", "commits_and_hides_it"):
        assert found[name].state is TrialItemState.SKIPPED
        assert "runs COMMIT by itself" in found[name].notes[0]
    assert found["commits_by_django"].state is TrialItemState.FAILED
    assert found["commits_by_django"].notes[0] == OF_THE_TRANSACTION
    assert written() == 0


def test_what_waits_for_a_commit_is_told_and_not_called() -> None:
    found = tried("waits_for_commit")["waits_for_commit"]
    assert found.state is TrialItemState.PASSED
    assert re.search(r"to be called on commit .* and not called", found.notes[0])
    assert "committed" not in found.output


def test_what_it_publishes_is_counted_and_not_sent() -> None:
    # The broker that the settings name is not there: had anything been sent, the handler would have failed.
    found = tried("publishes")["publishes"]
    assert (found.state, found.error_message) == (TrialItemState.PASSED, "")
    assert found.notes == (f"It would have sent 3 messages to {TOTALS}.",)
    assert "the fourth was rolled back" in found.output


def test_what_hangs_is_ended_in_time_with_all_it_has_started() -> None:
    began = time.monotonic()
    found = tried("hangs", "hangs_with_a_child", "passes", limit_s=1.0)
    assert found["hangs"].state is found["hangs_with_a_child"].state is TrialItemState.TIMED_OUT
    assert found["hangs"].error_message == "The handler had not returned after 1 s, and was ended."
    assert found["hangs"].output == "begins to hang\n"
    assert found["passes"].state is TrialItemState.PASSED
    assert time.monotonic() - began < 30
    child = int(found["hangs_with_a_child"].output.split()[1])
    until(lambda: not lives(child), 10, "the handler's own child is ended with it")


def test_what_a_handler_leaves_behind_is_ended_and_waited_for_by_nobody() -> None:
    found = tried("leaves_a_child", "hangs_in_another_thread")
    assert {each.state for each in found.values()} == {TrialItemState.PASSED}
    child = int(found["leaves_a_child"].output.split()[1])
    until(lambda: not lives(child), 10, "the handler's own child is ended with it")


def test_what_ends_the_process_says_how_and_the_next_is_tried() -> None:
    found = tried("exits_hard", "is_killed", "passes")
    assert found["exits_hard"].error_type == found["is_killed"].error_type == "process ended"
    assert "with status 7" in found["exits_hard"].error_message
    assert found["exits_hard"].output == "last words\n"
    assert "SIGKILL" in found["is_killed"].error_message
    assert found["passes"].state is TrialItemState.PASSED


def test_of_much_output_the_start_and_the_end_are_kept() -> None:
    output = tried("prints_a_lot")["prints_a_lot"].output
    assert output.startswith("the start\n")
    assert output.endswith("the end\n")
    assert "bytes left out" in output
    assert len(output) < MAX_OUTPUT + 100


def test_what_can_not_be_called_says_why() -> None:
    letters = [
        letter_of("nowhere"),
        letter_of("passes", body=b"\xff no json"),
        letter_of("passes", correlation_id_required=True),
        make_dead_letters(None, 1)[0],
    ]
    missing, unreadable, anonymous, orphan = verdicts(*letters)
    assert (missing.error_type, missing.seconds) == ("HandlerNotFound", None)
    assert "has no 'nowhere'" in missing.error_message
    assert (unreadable.state, unreadable.error_type) == (TrialItemState.FAILED, "UnreadableBody")
    assert anonymous.error_type == "MissingCorrelationId"
    assert (orphan.state, orphan.notes) == (TrialItemState.SKIPPED, (CONSUMER_DELETED,))


def test_a_handler_gets_redacted_parts_as_they_came_and_what_it_says_of_them_is_not_kept() -> None:
    consumer = consumer_of("passes", redact="$.pin")
    Captures(consumer).give((died(consumer=consumer.name), b'{"pin": "hunter2"}'))
    [verdict] = verdicts(DeadLetter.objects.get())
    assert "hunter2" in verdict.output
    item = TrialItem.objects.get()
    trial_rows.record(item.pk, verdict)
    item.refresh_from_db()
    assert "priced {'pin': '[redacted]'}" in item.output
    assert "hunter2" not in item.output


def test_what_is_not_stored_can_not_be_tried() -> None:
    letter = letter_of("passes")
    DeadLetter.objects.filter(pk=letter.pk).update(body=b"", held="/queue/HELD.orders")
    [verdict] = verdicts(letter)
    assert verdict.state is TrialItemState.SKIPPED
    assert "the message waits in /queue/HELD.orders" in verdict.notes[0]


def test_output_is_kept_whole_where_it_fits() -> None:
    kept = Kept(10)
    for chunk in (b"abc", b"defg", b"hij"):
        kept.add(chunk)
    assert kept.text() == "abcdefghij"
    kept.add(b"k")
    assert kept.text() == "abcde\n… 1 bytes left out …\nghijk"

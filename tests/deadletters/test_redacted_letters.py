"""Redacted dead letters: captured, exported, changed and sent again, and never a value in clear in the database."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stompconsole.deadletters import concealing, editing, exchange, selection
from stompconsole.deadletters.editing import Change
from stompconsole.deadletters.sealing import LOST, as_it_came
from stompconsole.delivery import envelope
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.errors import ConfigurationError, WorkFailed
from stompconsole.models import (
    AuditEntry,
    Consumer,
    DeadLetter,
    Failure,
    FailureGroup,
    LetterEdit,
    Replay,
    ReplayItem,
    ReplayItemState,
)
from tests.deadletters.capturing import capturing
from tests.deadletters.dumping import dumped
from tests.deadletters.engines import running_engine
from tests.deadletters.making import ACTIVEMQ, Captures, died, make_consumer, make_dead_letters, tallied
from tests.delivery.running import Seen, running, send
from tests.support.brokers import TestBroker
from tests.support.choosing import one_of_each_dialect
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "hunter2-of-the-card"
BODY = b'{ "card": {"number": "hunter2-of-the-card", "cvv": 123},\n\t"amount": 1.50 }'
RULES = "$.card.number\nx-token"


@pytest.fixture
def consumer() -> Consumer:
    return make_consumer(name="orders", redact=RULES)


def failing(**fields: Any) -> dict[str, str]:
    told = {
        "consumer": "orders",
        "error_message": f"no such card: '{SECRET}'",
        "traceback": f"Traceback …\n  File \"/app/orders.py\", line 3, in pay\n    pay()\nKeyError: '{SECRET}'",
        "extra": {"x-token": f"Bearer {SECRET}-token", "color": "red", "content-type": "application/json"},
    }
    return died(**{**told, **fields})


def captured(consumer: Consumer, body: bytes = BODY, **fields: Any) -> DeadLetter:
    headers = failing(**fields)
    assert Captures(consumer).give((headers, body)) == [0]
    return DeadLetter.objects.get(pk=headers[envelope.DEAD_LETTER_ID])


def test_what_rules_name_is_nowhere_in_the_database_and_all_else_is(consumer: Consumer) -> None:
    letter = captured(consumer)
    assert SECRET not in dumped()
    assert json.loads(bytes(letter.body)) == {"card": {"number": "[redacted 2]", "cvv": 123}, "amount": 1.5}
    assert (letter.headers["x-token"], letter.headers["color"]) == ("[redacted 1]", "red")
    assert letter.error_message == "no such card: '[redacted]'"
    assert letter.body_size == len(BODY), "its size is that of the message"
    assert letter.document["card"]["cvv"] == 123
    assert "[redacted 2]" in letter.search_text
    assert FailureGroup.objects.get().message == "no such card: '[redacted]'"
    assert Failure.objects.get().traceback.endswith("KeyError: '[redacted]'")


def test_a_message_without_anything_named_is_stored_as_it_came(consumer: Consumer) -> None:
    letter = captured(consumer, b'{"a": 1}', extra={"color": "red"}, error_message="x", traceback="")
    assert (bytes(letter.body), letter.sealed) == (b'{"a": 1}', None)


@override_settings(STOMPCONSOLE={"REDACT": ["$..number", "correlation-id"]})
def test_rules_of_the_settings_hold_for_every_consumer() -> None:
    letter = captured(make_consumer(), extra={"correlation-id": f"c-{SECRET}"})
    assert SECRET not in dumped()
    assert letter.correlation_id == "[redacted 1]"


def test_rules_hold_of_the_consumer_of_the_queue_and_of_the_one_the_message_names(consumer: Consumer) -> None:
    other = make_consumer(consumer.broker, name="invoices", redact="$.amount")
    letter = captured(other, b'{"card": {"number": "hunter2-of-the-card"}, "amount": "a-lot-of-money"}')
    assert "a-lot-of-money" not in dumped()
    assert SECRET not in dumped()
    assert letter.consumer == consumer


def test_a_death_told_by_the_broker_quotes_nothing_either() -> None:
    consumer = make_consumer(redact="dlqDeliveryFailureCause")
    headers = {"message-id": "ID:1", "dlqDeliveryFailureCause": f"because of {SECRET}"}
    Captures(consumer, ACTIVEMQ).give((headers, b"x"))
    assert SECRET not in dumped()


def test_a_rule_that_can_t_be_read_keeps_dead_letters_in_the_broker_and_says_why(consumer: Consumer) -> None:
    Consumer.objects.update(redact="card.number")
    with pytest.raises(WorkFailed, match="could be a header or a path"):
        Captures(consumer).give((failing(), BODY))
    assert not DeadLetter.objects.exists()


VALUE = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=6, max_size=40).filter(
    lambda text: len(text.strip()) >= 6 and not any(character in text for character in "…") and text not in "[redacted]"
)


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    number=VALUE.map("num-".__add__),
    token=VALUE.map("tok-".__add__),
    whole=st.booleans(),
    quoted=st.sampled_from(["{}", "{!r}", "a '{}' b", "x{}y", "line\n{}\nline"]),
)
def test_no_value_is_in_any_column_whatever_it_is(number: str, token: str, whole: bool, quoted: str) -> None:
    for model in (DeadLetter, FailureGroup, Consumer):
        model.objects.all().delete()
    consumer = make_consumer(redact=RULES)
    body = number.encode() if whole else json.dumps({"card": {"number": number}}).encode()
    told = quoted.format(number) + " and " + quoted.format(token)
    trace = "".join(traceback.format_exception(KeyError(number, token)))
    letter = captured(consumer, body, error_message=told, traceback=trace, extra={"x-token": token})
    found = dumped()
    for value in (number, token):
        assert value not in found
        assert repr(value)[1:-1] not in found
        assert json.dumps(value)[1:-1] not in found
    headers, sent = as_it_came(letter, None)
    assert (headers["x-token"], sent) == (token.encode(errors="replace").decode(), body)


def once_failing(seen: Seen) -> Handler:
    left = [1]

    def handle(payload: Payload) -> None:
        seen.keep(payload)
        if left:
            left.pop()
            raise KeyError(SECRET)

    return handle


@pytest.mark.long
@one_of_each_dialect
def test_a_redacted_message_is_replayed_byte_by_byte(any_broker: TestBroker, destination: str) -> None:
    consumer = make_consumer(any_broker, destination=destination, codec="bytes", redact=RULES)
    spec = consumer.spec()
    with (
        capturing(consumer),
        running(spec.broker, destination, once_failing, codec=spec.codec) as run,
        running_engine(),
    ):
        headers = {"x-token": "tok-1234", "content-type": "application/json"}
        send(spec.broker, destination, [BODY], **headers)
        until(DeadLetter.objects.exists, 20, "captured")
        assert SECRET not in dumped()
        assert "tok-1234" not in dumped()
        selection.replay_selected([DeadLetter.objects.get().pk], actor=None)
        run.seen.wait(2)
    assert run.seen.bodies == [BODY, BODY]
    assert [each.headers["x-token"] for each in run.seen.payloads] == ["tok-1234", "tok-1234"]


def always_failing(seen: Seen) -> Handler:
    def handle(payload: Payload) -> None:
        seen.keep(payload)
        raise KeyError(payload.body)

    return handle


@pytest.mark.long
def test_what_fails_again_is_sealed_again_and_an_edit_gets_its_values_back(
    devbroker: TestBroker, destination: str
) -> None:
    consumer = make_consumer(devbroker, destination=destination, redact=RULES)
    spec = consumer.spec()
    with capturing(consumer), running(spec.broker, destination, always_failing) as run, running_engine():
        send(spec.broker, destination, [json.loads(BODY)], **{"x-token": "tok-1234"})
        until(DeadLetter.objects.exists, 20, "captured")
        letter = DeadLetter.objects.get()
        shown = json.loads(editing.text_of(letter) or "")
        shown["amount"] = 2
        change = Change(headers={**editing.editable(letter), "color": "blue"}, body=json.dumps(shown))
        assert not editing.problems(letter, change)
        editing.edit_and_replay(letter.pk, change, actor=None)
        until(lambda: Failure.objects.count() == 2, 20, "it fails again")
        until(lambda: ReplayItem.objects.get().state == ReplayItemState.FAILED_AGAIN, 20, "known to have")
    assert run.seen.bodies[1] == {"card": {"number": SECRET, "cvv": 123}, "amount": 2}
    headers = run.seen.payloads[1].headers
    assert (headers["x-token"], headers["color"]) == ("tok-1234", "blue")
    assert SECRET not in dumped()
    assert "tok-1234" not in dumped()
    letter.refresh_from_db()
    assert json.loads(as_it_came(letter, None)[1])["amount"] == 2


def test_a_value_typed_into_an_edit_is_sealed_too(consumer: Consumer) -> None:
    letter = captured(consumer)
    typed = '{"card": {"number": "5555-4444-3333"}, "amount": 1}'
    editing.edit_and_replay(letter.pk, Change(headers={"x-token": "[redacted 1]"}, body=typed), actor=None)
    edit = LetterEdit.objects.get()
    assert "5555-4444-3333" not in dumped()
    headers, body = as_it_came(letter, edit)
    assert (headers["x-token"], body) == (f"Bearer {SECRET}-token", typed.encode())


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, '{"note": "[redacted 2]"}'),
        ({}, '{"card": {"number": "x [redacted 2]"}}'),
        ({}, '{"[redacted 2]": 1}'),
        ({}, '{"card": {"number": "[redacted 1]"}}'),
        ({"color": "[redacted 1]"}, '{"a": 1}'),
        ({"x-token": "[redacted 2]"}, '{"a": 1}'),
    ],
)
def test_a_marker_can_not_be_moved_to_where_its_value_would_show(
    consumer: Consumer, headers: dict[str, str], body: str
) -> None:
    letter = captured(consumer)
    problems = editing.problems(letter, Change(headers=headers, body=body))
    assert "can only stay where it was" in problems["body"]


def test_a_body_taken_out_whole_goes_out_as_it_came_with_other_headers(consumer: Consumer) -> None:
    letter = captured(consumer, f"number={SECRET}".encode(), extra={"color": "red"})
    assert SECRET not in dumped()
    assert editing.text_of(letter) is None
    editing.edit_and_replay(letter.pk, Change(headers={"color": "blue"}), actor=None)
    assert as_it_came(letter, LetterEdit.objects.get())[1] == f"number={SECRET}".encode()


def test_without_the_key_an_item_is_skipped_and_says_why_and_the_dead_letter_stays(
    devbroker: TestBroker, destination: str
) -> None:
    consumer = make_consumer(devbroker, name="orders", destination=destination, redact=RULES)
    with override_settings(STOMPCONSOLE={"SECRET_KEYS": [Fernet.generate_key().decode()]}):
        sealed = captured(consumer)
    plain = captured(consumer, b"{}", extra={}, origin=destination)
    with override_settings(SECRET_KEY="another", STOMPCONSOLE={}):
        consumer.broker.save()
        replay = selection.replay_selected([sealed.pk, plain.pk], actor=None).replay
        assert replay is not None
        with running_engine():
            until(lambda: Replay.objects.get(pk=replay.pk).state == "done", 20, "the replay is done")
    item = ReplayItem.objects.get(dead_letter=sealed)
    assert (item.state, item.note.partition(":")[0]) == ("skipped", "what was redacted can't be decrypted")
    sealed.refresh_from_db()
    assert sealed.state == "dead"
    assert ReplayItem.objects.get(dead_letter=plain).state == "sent"


def exported(letter: DeadLetter) -> str:
    return "".join(exchange.lines(DeadLetter.objects.filter(pk=letter.pk)))


def test_an_export_holds_markers_and_what_is_imported_of_it_is_not_sent_with_them(consumer: Consumer) -> None:
    letter = captured(consumer)
    line = exported(letter)
    assert SECRET not in line
    assert json.loads(line)["redacted"] is True
    letter.delete()
    exchange.read([line], actor=None)
    back = DeadLetter.objects.get()
    with pytest.raises(ConfigurationError) as caught:
        as_it_came(back, None)
    assert str(caught.value) == LOST
    typed = Change(headers={"x-token": "tok-5678"}, body='{"card": {"number": "4111-1111"}}')
    editing.edit_and_replay(back.pk, typed, actor=None)
    headers, body = as_it_came(back, LetterEdit.objects.get())
    assert (headers["x-token"], body) == ("tok-5678", b'{"card": {"number": "4111-1111"}}')


def test_what_is_imported_in_clear_is_redacted_before_it_is_stored(consumer: Consumer) -> None:
    Consumer.objects.update(redact="")
    letter = captured(consumer)
    line = exported(letter)
    assert SECRET in line
    letter.delete()
    FailureGroup.objects.all().delete()
    Consumer.objects.update(redact=RULES)
    exchange.read([line], actor=None)
    assert SECRET not in dumped()
    assert as_it_came(DeadLetter.objects.get(), None)[1] == BODY
    assert FailureGroup.objects.get().message == "no such card: '[redacted]'"


def redact_all() -> concealing.Progress:
    done = concealing.Progress(left={})
    for done in concealing.redact(DeadLetter.objects.all(), what="all", actor_name="me"):  # noqa: B007 - the last
        pass
    return done


def test_what_is_stored_is_redacted_on_demand_with_its_failures_edits_and_group(consumer: Consumer) -> None:
    Consumer.objects.update(redact="")
    letter = captured(consumer)
    captured(consumer, b"{}", error_message="something else", extra={}, traceback="")
    editing.edit_and_replay(letter.pk, Change(headers=editing.editable(letter), body=BODY.decode()), actor=None)
    FailureGroup.objects.update(note="known to the bank")
    Consumer.objects.update(redact=RULES)
    [seen] = concealing.would_redact(DeadLetter.objects.all())
    assert (seen.seen, seen.redacted) == (2, 1)
    assert SECRET in dumped()
    before = sum(tallied().values())
    done = redact_all()
    assert (done.seen, done.redacted, done.left) == (2, 1, {})
    assert SECRET not in dumped()
    assert sum(tallied().values()) == before
    letter.refresh_from_db()
    assert (letter.group is not None and letter.group.note) == "known to the bank"
    for edit in (None, LetterEdit.objects.get()):
        headers, body = as_it_came(letter, edit)
        assert (headers["x-token"], body) == (f"Bearer {SECRET}-token", BODY)
    entry = AuditEntry.objects.get(action="dead letters redacted")
    assert (entry.actor_name, entry.data["redacted"], entry.data["what"]) == ("me", 1, "all")
    assert redact_all().redacted == 0, "it is safe to repeat"


def test_redacting_joins_a_letter_with_the_group_of_those_redacted_before(consumer: Consumer) -> None:
    Consumer.objects.update(redact="")
    old = captured(consumer)
    Consumer.objects.update(redact=RULES)
    new = captured(consumer)
    assert old.group_id != new.group_id
    redact_all()
    old.refresh_from_db()
    assert old.group_id == new.group_id
    assert {cell.group_id: count for cell, count in tallied().items()} == {new.group_id: 2}
    assert SECRET not in dumped()


def test_rules_that_are_added_take_out_more_and_all_comes_back(consumer: Consumer) -> None:
    letter = captured(consumer)
    Consumer.objects.update(redact=f"{RULES}\n$.card\n$.amount")
    redact_all()
    letter.refresh_from_db()
    assert json.loads(bytes(letter.body)) == {"card": "[redacted 3]", "amount": "[redacted 4]"}
    assert as_it_came(letter, None)[1] == BODY
    Consumer.objects.update(redact="")
    redact_all()
    letter.refresh_from_db()
    assert letter.sealed is not None, "what is redacted stays so"


def test_what_can_t_be_opened_is_left_as_it_is_and_told(consumer: Consumer) -> None:
    with override_settings(STOMPCONSOLE={"SECRET_KEYS": [Fernet.generate_key().decode()]}):
        letter = captured(consumer)
    make_dead_letters(consumer, 1, body=BODY)
    Consumer.objects.update(redact=f"{RULES}\n$.amount")
    done = redact_all()
    assert (done.redacted, list(done.left)) == (1, [letter.pk])
    assert "no key fits" in done.left[letter.pk]

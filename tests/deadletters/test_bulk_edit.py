"""A hundred edited alike: what is sent, what is skipped and why, that originals stay, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stompconsole.deadletters import operations, selection, versions
from stompconsole.deadletters.filters import Filters, preview
from stompconsole.deadletters.operations import Message, Operation
from stompconsole.deadletters.outlooks import MOST_SHOWN, outlook
from stompconsole.deadletters.plans import Plan
from stompconsole.models import AuditEntry, Consumer, DeadLetter, LetterEdit, Replay, ReplayItem, ReplayState
from tests.deadletters.engines import running_engine
from tests.deadletters.making import Captures, died, make_broker, make_consumer, make_dead_letters
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

EDITS = operations.read(
    [
        {"act": "set json", "target": "sku", "value": '"A"', "when": "missing"},
        {"act": "set header", "target": "fixed", "value": "yes"},
    ]
).operations


@pytest.fixture
def wire() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        yield running


@pytest.fixture
def consumer(wire: RunningDevBroker) -> Consumer:
    return make_consumer(make_broker(port=wire.port))


def replayed(rows: list[DeadLetter], edits: tuple[Operation, ...] = EDITS) -> Replay:
    planned = selection.replay_selected([row.pk for row in rows], actor=None, plan=Plan(edits=edits))
    assert planned.replay is not None
    with running_engine():
        until(lambda: Replay.objects.get().state == ReplayState.DONE, 30, "the replay is done")
    return planned.replay


def test_each_is_sent_edited_and_the_originals_stay(wire: RunningDevBroker, consumer: Consumer) -> None:
    rows = make_dead_letters(consumer, 3, body=b'{"price": 1.10}')
    (broken,) = make_dead_letters(consumer, 1, body=b"<xml/>")
    replay = replayed([*rows, broken])
    sent = wire.messages(consumer.destination)
    assert [message.body for message in sent] == [b'{"price": 1.10,"sku": "A"}'] * 3
    assert {message.headers["fixed"] for message in sent} == {"yes"}
    skipped = ReplayItem.objects.get(dead_letter=broken)
    assert (skipped.state, "it is no JSON" in skipped.note) == ("skipped", True)
    assert set(DeadLetter.objects.exclude(pk=broken.pk).values_list("state", flat=True)) == {"sent"}
    assert bytes(DeadLetter.objects.get(pk=rows[0].pk).body) == b'{"price": 1.10}'
    assert not LetterEdit.objects.exists(), "no copies of what the operations say"
    entry = AuditEntry.objects.get(action="replay created")
    assert "set JSON sku where it is missing, set header fixed" in entry.data["plan"]
    assert operations.kept(replay.edits) == EDITS


def test_redacted_parts_are_sent_as_they_came_beside_what_is_edited(wire: RunningDevBroker, consumer: Consumer) -> None:
    Consumer.objects.update(redact="$.pin")
    Captures(consumer).give((died(consumer=consumer.name, origin=consumer.destination), b'{"pin": "hunter2"}'))
    replayed(list(DeadLetter.objects.all()))
    assert [message.body for message in wire.messages(consumer.destination)] == [b'{"pin": "hunter2","sku": "A"}']


def test_of_a_body_that_is_not_stored_nothing_can_be_edited_and_it_stays() -> None:
    rows = make_dead_letters(make_consumer(), 1, body=b"", held="/queue/HELD.orders")
    found = outlook(DeadLetter.objects.all(), EDITS)
    assert (found.changed, found.left_out) == (0, 1)
    assert "only its headers can be changed" in found.reasons[0].label
    assert outlook(DeadLetter.objects.all(), EDITS[1:]).changed == len(rows)


def test_what_comes_back_edited_leaves_the_original_with_the_edit(wire: RunningDevBroker, consumer: Consumer) -> None:
    (row,) = make_dead_letters(consumer, 1, body=b"{}", headers={"color": "red"})
    replay = replayed([row])
    headers = died(dead_letter_id=str(row.pk), replay_id=str(replay.pk), consumer=consumer.name, extra={"fixed": "yes"})
    Captures(consumer).give((headers, b'{"sku": "A"}'))
    row.refresh_from_db()
    assert (bytes(row.body), row.state) == (b'{"sku": "A"}', "dead")
    item = ReplayItem.objects.select_related("replay", "edit", "dead_letter").get()
    both = versions.of_item(item)
    assert both.before == Message(headers={"color": "red"}, body=b"{}")
    assert isinstance(both.after, Message)
    assert (both.after.body, both.after.headers["fixed"]) == (b'{"sku": "A"}', "yes")


def test_what_comes_back_unedited_keeps_no_copy(wire: RunningDevBroker, consumer: Consumer) -> None:
    (row,) = make_dead_letters(consumer, 1)
    replay = replayed([row], edits=())
    Captures(consumer).give((died(dead_letter_id=str(row.pk), replay_id=str(replay.pk)), b"0"))
    assert not LetterEdit.objects.exists()


@pytest.mark.parametrize("count", [3, 25])
def test_the_outlook_counts_and_shows_some(count: int) -> None:
    make_dead_letters(None, count, body=b'{"a": 1}')
    make_dead_letters(None, 2, body=b"<xml/>")
    make_dead_letters(None, 1, body=b"x", body_size=operations.MAX_JSON_BYTES + 1)
    seen = preview(Filters())
    only_json = EDITS[:1]
    found = outlook(Filters().frozen(seen.as_of), only_json)
    assert (found.looked_at, found.changed, found.unchanged, found.left_out) == (count + 3, count, 0, 3)
    assert [group.count for group in found.reasons] == [2, 1]
    assert len(found.samples) == min(count, MOST_SHOWN)
    assert len({sample.letter.pk for sample in found.samples}) == len(found.samples)
    conditional = operations.read([{"act": "set json", "target": "a", "value": "2", "when": "missing"}]).operations
    assert outlook(Filters().frozen(seen.as_of), conditional).unchanged == count


def test_the_outlook_of_many_is_bounded_and_says_how_many_were_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stompconsole.deadletters.outlooks.MOST_LOOKED_AT", 7)
    make_dead_letters(None, 20, body=b"{}")
    found = outlook(DeadLetter.objects.all(), EDITS)
    assert (found.looked_at, found.changed) == (7, 7)

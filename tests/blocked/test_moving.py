"""``move_messages`` to a broker that takes nothing: it says why it waits, goes on by itself, moves each once."""

from __future__ import annotations

import pytest

from stompconsole.management.commands.move_messages import Command
from tests.deadletters.making import make_broker
from tests.management.calling import calling
from tests.management.queues import bodies, fill, numbered, unused
from tests.support.blockades import Blockade

pytestmark = [pytest.mark.broker, pytest.mark.django_db(transaction=True)]

TOTAL = 20


def test_it_waits_and_goes_on_by_itself_and_each_message_is_in_one_place_once(blockade: Blockade) -> None:
    row = make_broker(blockade.broker, receipt_timeout_s=1.0)
    source, target = unused("source"), unused("target")
    fill(blockade.broker, source, numbered(TOTAL))
    blockade.block()
    with calling(Command(), source, target, broker=row.name, limit=TOTAL) as moving:
        moving.wait_for(blockade.words)
        blockade.clear()
        assert f"Moved {TOTAL} messages" in moving.wait()
    assert bodies(blockade.broker, target) == numbered(TOTAL)
    assert bodies(blockade.broker, source) == []


def test_told_to_stop_meanwhile_it_ends_and_the_source_has_what_was_not_moved(full_store: Blockade) -> None:
    row = make_broker(full_store.broker, receipt_timeout_s=1.0)
    source, target = unused("source"), unused("target")
    fill(full_store.broker, source, numbered(TOTAL))
    full_store.block()
    try:
        with calling(Command(), source, target, broker=row.name) as moving:
            moving.wait_for(full_store.words)
            moving.stop()
    finally:
        full_store.clear()
    assert sorted(bodies(full_store.broker, source)) == numbered(TOTAL)

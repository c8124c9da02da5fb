"""By which name a destination takes what is sent: found out once, and another one than its own for a while only."""

from __future__ import annotations

import pytest

from stompconsole.delivery import names
from stompconsole.delivery.names import Names
from stompconsole.transport.session import Endpoint

HERE, THERE = Endpoint(host="here", port=1), Endpoint(host="there", port=1)
QUEUE, OTHER = "/queue/a", "/amq/queue/a"


def test_a_destination_is_known_once_a_message_got_there() -> None:
    known = Names()
    assert not known.is_known(QUEUE)
    known.taken(QUEUE)
    assert known.is_known(QUEUE)
    assert known.at(HERE, QUEUE) == QUEUE


def test_another_name_is_one_of_the_endpoint_where_it_was_found() -> None:
    known = Names()
    known.clashed(QUEUE, OTHER, HERE)
    assert known.is_known(QUEUE)
    assert known.others() == [QUEUE]
    assert known.at(HERE, QUEUE) == OTHER
    assert known.at(THERE, QUEUE) == QUEUE


def test_another_name_is_found_out_anew_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "RESPELT_FOR_S", 0.0)
    known = Names()
    known.clashed(QUEUE, OTHER, HERE)
    known.taken(QUEUE)
    assert not known.is_known(QUEUE)
    known.find_out(QUEUE)
    assert not known.is_known(QUEUE)
    assert known.at(HERE, QUEUE) == QUEUE


def test_what_is_forgotten_is_found_out_anew() -> None:
    known = Names()
    known.taken(QUEUE)
    known.clashed("/queue/b", "/amq/queue/b", HERE)
    known.forget()
    assert not known.is_known(QUEUE)
    assert not known.is_known("/queue/b")
    assert known.at(HERE, "/queue/b") == "/queue/b"

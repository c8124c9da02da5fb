"""The id in hand: where it is seen, what carries it, what log lines show."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from request_id_django_log import local_threading
from request_id_django_log.filters import RequestIDFilter

from stompconsole import carry, correlation
from stompconsole.correlation import CorrelationIdFilter, InTask, InThread


@pytest.fixture(autouse=True)
def _no_id_is_left_over() -> Iterator[None]:
    vars(local_threading).clear()
    yield
    assert correlation.current() == ""


def in_a_thread(function: object) -> str:
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(function()))  # type: ignore[operator]
    thread.start()
    thread.join(5)
    return seen[0]


def record() -> logging.LogRecord:
    return logging.LogRecord("tests", logging.INFO, __file__, 1, "a line", (), None)


def test_there_is_no_id_until_one_is_in_hand_and_none_afterwards() -> None:
    assert correlation.current() == ""
    with InTask("c-1"):
        with InTask("c-2"):
            assert correlation.current() == "c-2"
        assert correlation.current() == "c-1"
    assert correlation.current() == ""


def test_an_id_is_put_down_when_what_it_is_for_raises() -> None:
    for kind in (InTask, InThread):
        with pytest.raises(ValueError, match="no"), kind("c-1"):
            raise ValueError("no")
        assert correlation.current() == ""
        assert not hasattr(local_threading, "request_id")


def test_w19_what_is_sent_never_has_an_empty_id() -> None:
    """In django-stomp a thread that had handled a message had None for an id, and sent messages without one."""
    assert uuid.UUID(correlation.current_or_new()) != uuid.UUID(correlation.current_or_new())
    for none in (None, "", "none"):
        local_threading.request_id = none
        assert uuid.UUID(correlation.current_or_new())
    with InThread("c-1"):
        assert correlation.current_or_new() == "c-1"
    assert uuid.UUID(correlation.current_or_new())


def test_tasks_and_their_threads_have_the_id_of_who_began_them() -> None:
    async def ask() -> list[str]:
        with InTask("c-1"):
            task = asyncio.create_task(asyncio.sleep(0, result=None))
            threads = await asyncio.gather(
                asyncio.to_thread(correlation.current),
                sync_to_async(correlation.current)(),
                sync_to_async(correlation.current, thread_sensitive=False)(),
            )
            await task
        return [*threads, await asyncio.to_thread(correlation.current)]

    assert asyncio.run(ask()) == ["c-1", "c-1", "c-1", ""]


def test_requests_that_are_answered_in_turn_keep_their_ids_apart() -> None:
    async def one(correlation_id: str, together: asyncio.Barrier) -> str:
        with InTask(correlation_id):
            await together.wait()
            return correlation.current()

    async def several() -> list[str]:
        together = asyncio.Barrier(3)
        return await asyncio.gather(*(one(f"c-{number}", together) for number in range(3)))

    assert asyncio.run(several()) == ["c-0", "c-1", "c-2"]


def test_plain_threads_have_it_when_it_is_carried_there() -> None:
    with InThread("c-1"):
        assert in_a_thread(correlation.current) == ""
        carried = carry(correlation.current)
        assert in_a_thread(carried) == "c-1"
    assert in_a_thread(carried) == "c-1", "it is the id of when it was wrapped"
    assert in_a_thread(correlation.current) == ""


def test_a_thread_of_a_pool_has_a_carried_id_no_longer_than_the_call() -> None:
    with ThreadPoolExecutor(max_workers=1) as pool:
        with InThread("c-1"):
            assert pool.submit(carry(correlation.current)).result(5) == "c-1"
        assert pool.submit(correlation.current).result(5) == ""


def test_what_is_carried_is_called_as_it_was() -> None:
    def price(order: int, *, currency: str) -> str:
        """What it costs."""
        return f"{order} {currency}"

    with InThread("c-1"):
        carried = carry(price)
    assert carried(3, currency="EUR") == "3 EUR"
    assert (carried.__name__, carried.__doc__) == ("price", "What it costs.")
    assert carry(price) is price, "there is nothing to carry"


def test_request_id_django_log_sees_the_id_of_the_thread_that_has_one_in_hand() -> None:
    def theirs() -> str:
        line = record()
        RequestIDFilter().filter(line)
        return line.request_id  # type: ignore[attr-defined, no-any-return]

    with InThread("c-1"):
        assert theirs() == "c-1"
        assert in_a_thread(carry(theirs)) == "c-1"
        with InThread(""):
            assert theirs() == "none"
    assert theirs() == "none"
    local_threading.request_id = "of the request around"
    with InThread("c-2"):
        assert theirs() == "c-2"
    assert theirs() == "of the request around"
    vars(local_threading).clear()


def test_the_id_of_request_id_django_log_is_used_where_there_is_no_other() -> None:
    local_threading.request_id = "r-1"
    assert correlation.current() == "r-1"
    with InTask("c-1"):
        assert correlation.current() == "c-1"
    vars(local_threading).clear()


def test_a_process_without_request_id_django_log_does_without_it() -> None:
    code = (
        "import sys; sys.modules['django'] = None;"
        "from stompconsole import carry, correlation;"
        "holder = correlation.InThread('c-1'); holder.__enter__();"
        "assert carry(correlation.current)() == 'c-1'; holder.__exit__();"
        "assert correlation.current() == '';"
        "assert 'request_id_django_log' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, cwd=Path(__file__).resolve().parents[2])


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("c-1", "c-1"),
        (" c-1 ", "c-1"),
        ("x" * correlation.MAX_TAKEN, "x" * correlation.MAX_TAKEN),
        ("x" * (correlation.MAX_TAKEN + 1), ""),
        ("a\nb", ""),
        ("a\rb", ""),
        ("a\0b", ""),
        ("é", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_stranger_s_id_is_taken_if_it_is_sane(given: str | None, taken: str) -> None:
    assert correlation.sane(given) == taken


def test_log_lines_get_the_id_in_hand() -> None:
    inside, outside = record(), record()
    with InTask("c-1"):
        assert CorrelationIdFilter().filter(inside)
    assert CorrelationIdFilter().filter(outside)
    assert (inside.correlation_id, inside.request_id) == ("c-1", "c-1")  # type: ignore[attr-defined]
    assert (outside.correlation_id, outside.request_id) == ("-", "-")  # type: ignore[attr-defined]


def test_log_lines_that_have_an_id_keep_it() -> None:
    line = record()
    line.correlation_id = "of the message"
    with InTask("c-1"):
        CorrelationIdFilter().filter(line)
    assert line.correlation_id == "of the message"
    assert line.request_id == "c-1"  # type: ignore[attr-defined]


def test_an_id_with_a_line_break_makes_no_second_log_line() -> None:
    line = record()
    with InTask("c-1\n2026-01-01 ERROR all is lost"):
        CorrelationIdFilter().filter(line)
    assert line.correlation_id == "'c-1\\n2026-01-01 ERROR all is lost'"  # type: ignore[attr-defined]

"""Fingerprints: which failures are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.deadletters.fingerprints import MAX_TEMPLATE, fingerprint, without_numbers
from stompconsole.deadletters.frames import deepest_own

TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/app/orders/handlers.py", line {line}, in price_of
    return prices.of(body["sku"])
  File "/srv/app/orders/prices.py", line 7, in of
    return session.get(sku)
  File "/srv/venv/lib/python3.12/site-packages/requests/sessions.py", line 602, in get
    return self.request("GET", url)
requests.exceptions.ConnectionError: refused
"""


def key(**fields: str) -> str:
    defaults = {"consumer": "orders", "error_type": "KeyError", "message": "'sku'", "traceback": ""}
    return fingerprint(**{**defaults, **fields}).key


@pytest.mark.parametrize(
    ("message", "template"),
    [
        ("order 4711 has no price", "order … has no price"),
        ("user 3f2b8c1e-0d1a-4c6e-9b1a-1f2e3d4c5b6a is gone", "user … is gone"),
        ("HTTPConnectionPool(host='ledger', port=8080)", "HTTPConnectionPool(host='ledger', port=…)"),
        ("10.0.0.1:5432, 10.0.0.2:5432 refused", "… refused"),
        ("token deadbeefcafebabe expired", "token … expired"),
        ("'sku'", "'sku'"),
        ("a\n  b", "a b"),
        ("", ""),
    ],
)
def test_numbers_and_ids_are_taken_out(message: str, template: str) -> None:
    assert without_numbers(message) == template


def test_two_orders_that_fail_for_the_same_reason_are_one_failure() -> None:
    assert key(message="order 1 has no price") == key(message="order 22 has no price")


def test_a_deploy_that_moves_lines_does_not_make_a_failure_new() -> None:
    assert key(traceback=TRACEBACK.format(line=10)) == key(traceback=TRACEBACK.format(line=99))


@pytest.mark.parametrize(
    "other",
    [
        {"consumer": "prices"},
        {"error_type": "TimeoutError"},
        {"message": "'colour'"},
        {"traceback": TRACEBACK.format(line=1)},
    ],
)
def test_another_consumer_error_place_or_message_is_another_failure(other: dict[str, str]) -> None:
    assert key(**other) != key()


def test_its_place_is_the_deepest_frame_of_the_teams_own_code() -> None:
    found = fingerprint("orders", "ConnectionError", "refused", TRACEBACK.format(line=10))
    assert found.place == "app/orders/prices.py in of"


def test_the_error_that_was_raised_last_counts_not_its_cause() -> None:
    chained = (
        TRACEBACK.format(line=1)
        + "\nThe above exception was the direct cause of the following exception:\n\n"
        + 'Traceback (most recent call last):\n  File "/srv/app/orders/book.py", line 3, in book\n    x()\nNo\n'
    )
    frame = deepest_own(chained)
    assert frame is not None
    assert (frame.path, frame.function) == ("app/orders/book.py", "book")


def test_without_a_frame_of_the_team_the_deepest_of_all_counts() -> None:
    lines = [line for line in TRACEBACK.format(line=1).splitlines() if "/srv/app" not in line]
    frame = deepest_own("\n".join(lines))
    assert frame is not None
    assert frame.function == "get"


@given(st.text(max_size=3_000), st.text(max_size=3_000))
def test_any_text_has_a_fingerprint(message: str, traceback: str) -> None:
    found = fingerprint("orders", "Error", message, traceback)
    assert len(found.key) == 40
    assert len(found.message) <= MAX_TEMPLATE
    assert not any(character.isdigit() for character in found.message if character.isascii())

"""The demo's handlers: whether a message fails stands in the message, and a replay mends what failed once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from stompconsole.delivery.envelope import REPLAY_ID
from stompconsole.delivery.payload import Payload
from stompconsole.project.handlers import mail, orders, payments


def payload(body: dict[str, Any], **headers: str) -> Payload:
    return Payload(lambda: None, lambda: None, dict(headers), body)


@pytest.mark.parametrize("handler", [orders, payments, mail])
def test_a_sound_message_passes(handler: Callable[[Payload], None]) -> None:
    handler(payload({"sku": "a", "to": "b"}))


@pytest.mark.parametrize(("handler", "error"), [(orders, KeyError), (payments, TimeoutError), (mail, ValueError)])
def test_a_message_that_is_to_fail_fails_until_it_is_replayed(
    handler: Callable[[Payload], None], error: type[Exception]
) -> None:
    for _ in range(2):
        with pytest.raises(error):
            handler(payload({"sku": "a", "fails": 1}))
    handler(payload({"sku": "a", "fails": 1}, **{REPLAY_ID: "7"}))


@pytest.mark.parametrize(("handler", "error"), [(orders, KeyError), (payments, TimeoutError), (mail, ValueError)])
def test_a_message_that_is_to_fail_for_ever_does(handler: Callable[[Payload], None], error: type[Exception]) -> None:
    with pytest.raises(error):
        handler(payload({"sku": "a", "fails": -1}, **{REPLAY_ID: "7"}))


def test_an_order_without_a_sku_fails_by_itself() -> None:
    with pytest.raises(KeyError, match="sku"):
        orders(payload({}))


def test_a_message_says_how_long_it_takes() -> None:
    started = time.monotonic()
    payments(payload({"seconds": 0.05}))
    assert time.monotonic() - started >= 0.05

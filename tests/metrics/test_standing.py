"""How a consumer stands: wanted against actual, and the reason when they differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.delivery.breaker import PAUSED
from stompconsole.delivery.giving_up import HELD_UP
from stompconsole.metrics.standing import NO_WORKER, NOT_TAKEN, SlotNow, Standing, judge
from stompconsole.models import SubscriptionState

RUNNING = SlotNow(state=SubscriptionState.RUNNING, held=True, worker="web:1")
FREE = SlotNow(state=SubscriptionState.STOPPED)
SILENT = SlotNow(state=SubscriptionState.RUNNING, silent=True, worker="web:2")


def held(state: SubscriptionState, reason: str = "why") -> SlotNow:
    return SlotNow(state=state, reason=reason, held=True, worker="web:1")


def test_all_wanted_slots_running_is_running() -> None:
    verdict = judge(paused=None, instances=2, live_workers=1, slots=[RUNNING, RUNNING])
    assert (verdict.standing, verdict.wanted, verdict.actual, verdict.reason) == (Standing.RUNNING, 2, 2, "")


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        (SubscriptionState.BROKEN, Standing.BROKEN),
        (SubscriptionState.BACKING_OFF, Standing.BACKING_OFF),
        (SubscriptionState.STARTING, Standing.STARTING),
        (SubscriptionState.DRAINING, Standing.DRAINING),
    ],
)
def test_the_reason_of_the_slot_in_trouble_is_told(state: SubscriptionState, standing: Standing) -> None:
    verdict = judge(paused=None, instances=2, live_workers=1, slots=[RUNNING, held(state)])
    assert (verdict.standing, verdict.actual, verdict.reason) == (standing, 1, "why")


def test_the_worst_trouble_is_told_first() -> None:
    slots = [held(SubscriptionState.STARTING, "a"), SILENT, held(SubscriptionState.BROKEN, "b"), FREE]
    assert judge(paused=None, instances=4, live_workers=1, slots=slots).reason == "b"


def test_a_silent_worker_is_named() -> None:
    alone = judge(paused=None, instances=1, live_workers=0, slots=[SILENT])
    assert (alone.standing, alone.reason) == (Standing.STALE, f"worker web:2 has gone silent; {NO_WORKER}")
    others = judge(paused=None, instances=1, live_workers=1, slots=[SILENT])
    assert others.reason == "worker web:2 has gone silent"


@pytest.mark.parametrize("slots", [[], [FREE]])
def test_what_nobody_has_taken_waits_for_a_worker(slots: list[SlotNow]) -> None:
    assert judge(paused=None, instances=1, live_workers=0, slots=slots).reason == NO_WORKER
    verdict = judge(paused=None, instances=1, live_workers=2, slots=slots)
    assert (verdict.standing, verdict.reason) == (Standing.STARTING, NOT_TAKEN)


def test_no_instances_want_one_in_each_live_worker() -> None:
    assert judge(paused=None, instances=0, live_workers=3, slots=[RUNNING]).wanted == 3
    assert judge(paused=None, instances=0, live_workers=0, slots=[]).standing is Standing.STOPPED


def test_a_paused_consumer_wants_nothing() -> None:
    verdict = judge(paused="by ann", instances=2, live_workers=1, slots=[FREE])
    assert (verdict.standing, verdict.wanted, verdict.reason) == (Standing.PAUSED, 0, "by ann")
    assert judge(paused="", instances=2, live_workers=1, slots=[RUNNING]).standing is Standing.DRAINING


slots = st.builds(
    SlotNow, state=st.sampled_from(SubscriptionState), reason=st.just("why"), held=st.booleans(), silent=st.booleans()
)


@given(st.none() | st.text(), st.integers(0, 4), st.integers(0, 4), st.lists(slots, max_size=5))
def test_whatever_differs_from_what_is_wanted_has_a_reason(
    paused: str | None, instances: int, live: int, found: list[SlotNow]
) -> None:
    verdict = judge(paused=paused, instances=instances, live_workers=live, slots=found)
    assert verdict.reason or verdict.paused or verdict.actual >= verdict.wanted
    assert (verdict.standing is Standing.RUNNING) == (paused is None and 0 < verdict.wanted <= verdict.actual)


def test_a_consumer_that_runs_but_can_t_send_its_dead_letters_needs_a_person_and_says_why() -> None:
    why = f"{HELD_UP} to /queue/DLQ.orders: the broker does not confirm"
    verdict = judge(paused=None, instances=2, live_workers=1, slots=[RUNNING, held(SubscriptionState.RUNNING, why)])
    assert (verdict.standing, verdict.reason, verdict.held_up, verdict.needs_attention) == (
        Standing.RUNNING,
        why,
        True,
        True,
    )
    calm = judge(
        paused=None, instances=1, live_workers=1, slots=[held(SubscriptionState.RUNNING, "used as /amq/queue")]
    )
    assert not calm.needs_attention


def test_an_open_breaker_needs_a_person_and_one_slot_of_it_is_enough() -> None:
    why = f"{PAUSED}: 5 failures in a row, last ConnectionError: no; one message is tried in 24 s"
    tripped = held(SubscriptionState.BACKING_OFF, why)
    verdict = judge(paused=None, instances=2, live_workers=1, slots=[RUNNING, tripped])
    assert (verdict.standing, verdict.reason, verdict.breaker_open) == (Standing.BACKING_OFF, why, True)
    assert verdict.needs_attention
    unreachable = held(SubscriptionState.BACKING_OFF, "can't reach the broker")
    assert not judge(paused=None, instances=1, live_workers=1, slots=[unreachable]).breaker_open

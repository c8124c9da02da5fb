"""One renderer for all who look: rendered once a tick, fanned out, stopped with the last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

import pytest
from django.utils.html import format_html
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.dashboard.stream import broadcaster as broadcasting
from stompconsole.dashboard.stream.broadcaster import Broadcaster
from stompconsole.dashboard.stream.fragments import Fragments, as_event, as_html, changed

TIME_LIMIT_S = 5.0


class Counter:
    """Renders for each topic how often it was rendered; counts what is asked of it."""

    def __init__(self) -> None:
        self.ticks: list[list[str]] = []
        self.closed = threading.Event()
        self.threads: set[int] = set()
        self.failures = 0
        self.failed = threading.Event()

    def render(self, topics: Iterable[str]) -> Mapping[str, Fragments]:
        self.threads.add(threading.get_ident())
        self.ticks.append(sorted(topics))
        if self.failures:
            self.failures -= 1
            if not self.failures:
                self.failed.set()
            raise RuntimeError("the database is away")
        return {topic: {"same": "always", "count": str(len(self.ticks))} for topic in self.ticks[-1]}

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed.set()


def run(story: Callable[[Broadcaster[str], Counter], Awaitable[None]], interval_s: float = 0.01) -> Counter:
    """Tell a story under a time limit; returns the renderer it was told with."""
    renderer = Counter()

    async def told() -> None:
        await asyncio.wait_for(story(Broadcaster(lambda: renderer, lambda: interval_s), renderer), TIME_LIMIT_S)

    asyncio.run(told())
    return renderer


async def take(events: AsyncIterator[bytes], count: int) -> list[str]:
    return [(await anext(events)).decode() for _ in range(count)]


def test_two_clients_of_one_topic_get_what_was_rendered_once() -> None:
    async def story(broadcaster: Broadcaster[str], renderer: Counter) -> None:
        with broadcaster.client("overview") as one, broadcaster.client("overview") as other:
            first, second = await asyncio.gather(take(one.events(), 3), take(other.events(), 3))
            assert first == second
            assert len(renderer.ticks) <= 4
            assert all(tick == ["overview"] for tick in renderer.ticks)

    assert len(run(story, 0.05).threads) == 1


def test_the_first_event_is_whole_and_later_ones_hold_what_changed() -> None:
    async def story(broadcaster: Broadcaster[str], renderer: Counter) -> None:
        with broadcaster.client("overview") as client:
            first, second = await take(client.events(), 2)
        assert 'id="same"' in first
        assert 'id="count"' in first
        assert 'id="same"' not in second
        assert 'id="count"' in second

    run(story)


def test_who_comes_later_gets_the_whole_too() -> None:
    async def story(broadcaster: Broadcaster[str], renderer: Counter) -> None:
        with broadcaster.client("overview") as early:
            await take(early.events(), 2)
            with broadcaster.client("overview") as late:
                [first] = await take(late.events(), 1)
        assert 'id="same"' in first

    run(story)


def test_different_topics_are_rendered_in_the_same_tick() -> None:
    async def story(broadcaster: Broadcaster[str], renderer: Counter) -> None:
        with broadcaster.client("a") as one, broadcaster.client("b") as other:
            await asyncio.gather(take(one.events(), 2), take(other.events(), 2))
        assert ["a", "b"] in renderer.ticks

    run(story)


def test_it_stops_with_the_last_client_and_starts_again_with_the_next() -> None:
    async def story(broadcaster: Broadcaster[str], renderer: Counter) -> None:
        with broadcaster.client("a") as client:
            await take(client.events(), 1)
            assert broadcaster.running
        assert not broadcaster.running
        assert await asyncio.to_thread(renderer.closed.wait, TIME_LIMIT_S)
        ticks = len(renderer.ticks)
        with broadcaster.client("a") as client:
            await take(client.events(), 1)
        assert len(renderer.ticks) > ticks

    run(story)


def test_it_goes_on_when_the_first_of_two_leaves() -> None:
    async def story(broadcaster: Broadcaster[str], renderer: Counter) -> None:
        with broadcaster.client("a") as stays:
            with broadcaster.client("a") as leaves:
                await take(leaves.events(), 1)
            await take(stays.events(), 3)

    run(story)


def test_a_slow_client_skips_ticks_and_then_gets_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcasting, "QUEUE_SIZE", 2)

    async def story(broadcaster: Broadcaster[str], renderer: Counter) -> None:
        with broadcaster.client("a") as slow, broadcaster.client("a") as quick:
            await take(quick.events(), 10)
            events = await take(slow.events(), 3)
        assert 'id="same"' not in events[1]
        assert 'id="same"' in events[2]

    run(story)


def test_a_tick_that_fails_is_left_out_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    async def story(broadcaster: Broadcaster[str], renderer: Counter) -> None:
        with broadcaster.client("a") as client:
            events = client.events()
            await take(events, 1)
            renderer.failures = 3
            assert await asyncio.to_thread(renderer.failed.wait, TIME_LIMIT_S)
            await take(events, 2)

    run(story)
    assert "could not be rendered" in caplog.text


@pytest.mark.long
@given(st.dictionaries(st.text(st.characters(categories=["L", "N"]), min_size=1), st.text()))
def test_an_event_is_one_block_of_lines_whatever_is_in_it(fragments: dict[str, str]) -> None:
    event = as_event(fragments).decode()
    assert event.startswith("event: tick\ndata: ")
    assert event.endswith("\n\n")
    assert "\n\n" not in event[:-2]
    assert all(line.startswith(("event: ", "data: ")) for line in event[:-2].split("\n"))
    assert "\r" not in event


def test_plain_text_in_a_fragment_is_escaped_and_safe_text_is_not() -> None:
    html = as_html({"a": "<script>", "b": format_html("<b>{}</b>", "<i>")})
    assert html.splitlines() == [
        '<div id="a" hx-swap-oob="innerHTML">&lt;script&gt;</div>',
        '<div id="b" hx-swap-oob="innerHTML"><b>&lt;i&gt;</b></div>',
    ]


def test_what_did_not_change_is_left_out() -> None:
    assert changed({"a": "1", "b": "1"}, {"a": "1", "b": "2", "c": "3"}) == {"b": "2", "c": "3"}

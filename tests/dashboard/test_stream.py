"""The stream as a browser opens it, and polling where there is no stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection, connections
from django.http import QueryDict, StreamingHttpResponse
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from stompconsole.dashboard import formats
from stompconsole.dashboard.stream.rendering import PageRenderer, render_once
from stompconsole.dashboard.stream.topics import Page, Topic
from stompconsole.dashboard.views import streaming
from stompconsole.deadletters.selection import Filters
from stompconsole.models import Consumer, Replay, Subscription, Worker
from tests.dashboard import rows
from tests.dashboard.reading import elements, html

STREAM = "/console/stream/"
OVERVIEW = f"{STREAM}?page=overview"
TIME_LIMIT_S = 20.0


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def told() -> None:
        try:
            await asyncio.wait_for(story(), TIME_LIMIT_S)
        finally:
            # The thread that asked the database for the story outlives the test, and so would its connection.
            await sync_to_async(connections.close_all)()

    asyncio.run(told())


async def opened(user: User, url: str = OVERVIEW) -> AsyncIterator[bytes]:
    client = AsyncClient()
    await client.aforce_login(user)
    response = await client.get(url, headers={"Accept": "text/event-stream"})
    assert isinstance(response, StreamingHttpResponse)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/event-stream"
    assert response["Cache-Control"] == "no-store"
    content = response.streaming_content
    assert isinstance(content, AsyncIterator)
    assert (await anext(content)).startswith(b"retry: ")
    return content


async def closed(content: AsyncIterator[bytes]) -> None:
    """What a server does when the browser is gone: the task that waits for the next part is cancelled."""

    async def read_on() -> None:
        async for _ in content:
            pass

    reading = asyncio.create_task(read_on())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])


@pytest.mark.django_db(transaction=True)
def test_two_browsers_are_sent_the_same_and_the_stream_ends_with_them(operator: User) -> None:
    orders = rows.make_running(name="orders")

    async def story() -> None:
        one, other = await opened(operator), await opened(operator)
        first, second = await asyncio.gather(anext(one), anext(other))
        assert first == second
        assert f'<div id="c{orders.pk}-in" hx-swap-oob="innerHTML">412</div>'.encode() in first
        await closed(one)
        assert streaming.broadcaster.running
        await closed(other)
        assert not streaming.broadcaster.running

    run(story)


@pytest.mark.django_db(transaction=True)
def test_a_stream_ends_after_a_while_so_that_permissions_are_asked_again(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "MAX_STREAM_S", 0.0)

    async def story() -> None:
        events = await opened(operator)
        assert len([event async for event in events]) == 1
        assert not streaming.broadcaster.running

    run(story)


@pytest.mark.django_db(transaction=True)
def test_the_stream_is_refused_without_the_permission(stranger: Client) -> None:
    for client in (Client(), stranger):
        assert client.get(OVERVIEW, headers={"Accept": "text/event-stream"}).status_code == 403
        assert client.get(OVERVIEW).status_code == 403


def test_a_server_that_can_not_stream_tells_the_browser_not_to_come_back(client: Client) -> None:
    assert client.get(OVERVIEW, headers={"Accept": "text/event-stream"}).status_code == 204


def test_polling_gets_the_same_fragments(client: Client) -> None:
    orders = rows.make_running(name="orders")
    page = client.get(OVERVIEW)
    assert f'<div id="c{orders.pk}-in" hx-swap-oob="innerHTML">412</div>' in html(page)
    assert page["Cache-Control"] == "no-store"


def test_a_page_polls_where_nothing_streams(client: Client) -> None:
    page = client.get("/console/?range=1h")
    [poll] = elements(page, "div", **{"hx-swap": "none"})
    assert poll["hx-trigger"] == "every 2s"
    assert poll["hx-get"] == f"{OVERVIEW}&range=1h"


@pytest.mark.django_db(transaction=True)
def test_a_page_streams_where_an_asgi_server_is(operator: User) -> None:
    async def story() -> None:
        client = AsyncClient()
        await client.aforce_login(operator)
        [stream] = elements(await client.get("/console/"), "div", **{"hx-swap": "none"})
        assert stream["sse-connect"] == OVERVIEW

    run(story)


@pytest.mark.parametrize("query", ["", "?page=nope", "?page="])
def test_a_page_that_does_not_exist_has_no_stream(client: Client, query: str) -> None:
    assert client.get(STREAM + query).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "page=overview&range=nope",
        "page=consumer&subject=nope",
        "page=consumer&subject=%00",
        "page=replay&subject=x",
        "page=replay&subject=%C2%B2",
        "page=replay&subject=" + "9" * 60,
        "page=dead-letter&subject=nope",
        "page=dead-letters&since=nope&consumer=nope&text=%00",
        "page=dead-letters&since=2026-01-01T00:00:00",
        "page=dead-letters&since=9999-99-99T99:99:99Z",
        "page=workers",
        "page=replays",
    ],
)
def test_a_stream_of_what_is_not_there_is_empty_but_no_error(client: Client, query: str) -> None:
    assert client.get(f"{STREAM}?{query}").status_code == 200


def test_every_fragment_of_a_page_has_its_place_on_it(client: Client) -> None:
    orders = rows.make_running(name="orders")
    letter = rows.make_letter(orders)
    replay = Replay.objects.create(selection="all", total=1)
    replay.items.create(dead_letter=letter)
    for url, topic in {
        "/console/": Topic(page=Page.OVERVIEW),
        "/console/consumers/orders/": Topic(page=Page.CONSUMER, subject="orders"),
        "/console/dead-letters/": Topic(page=Page.DEAD_LETTERS),
        f"/console/dead-letters/{letter.pk}/": Topic(page=Page.DEAD_LETTER, subject=str(letter.pk)),
        "/console/replays/": Topic(page=Page.REPLAYS),
        f"/console/replays/{replay.pk}/": Topic(page=Page.REPLAY, subject=str(replay.pk)),
        "/console/workers/": Topic(page=Page.WORKERS),
    }.items():
        page = html(client.get(url))
        missing = [name for name in render_once(topic) if f'id="{name}"' not in page]
        # The spark and the cells of columns that a consumer's own page does not have are not placed there.
        assert missing in ([], [f"c{orders.pk}-spark"]), url


def test_a_topic_reads_back_from_its_own_query_string() -> None:
    topic = Topic(
        page=Page.DEAD_LETTERS, filters=Filters(consumer="a", state="dead", text="x & y"), since=timezone.now()
    )
    assert Topic.from_query(QueryDict(topic.query_string()).dict()) == topic


def news(client: Client, since: str, query: str = "") -> str:
    return html(client.get(f"{STREAM}?page=dead-letters&since={quote(since)}{query}"))


def test_dead_letters_that_came_since_are_told_not_pushed_in(client: Client) -> None:
    consumer = rows.make_consumer(name="orders")
    before = rows.make_letter(consumer, ago_s=60)
    assert "new, show" not in news(client, before.failed_at.isoformat())
    for _ in range(2):
        rows.make_letter(consumer, ago_s=5)
    rows.make_letter(None, ago_s=5, state="discarded")
    assert "2 new, show" in news(client, before.failed_at.isoformat())
    assert "new, show" not in news(client, before.failed_at.isoformat(), "&consumer=nope")


@pytest.mark.django_db
def test_a_tick_costs_as_many_queries_for_twenty_consumers_as_for_one() -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            PageRenderer().render([Topic(page=Page.OVERVIEW)])
        return len(captured)

    def add() -> None:
        consumer = rows.make_running()
        rows.make_letter(consumer)
        rows.make_bucket(consumer, timezone.now(), received=1)

    add()
    one = queries()
    for _ in range(19):
        add()
    assert queries() == one
    assert one <= 14


@pytest.mark.django_db
def test_topics_of_one_tick_share_what_was_read() -> None:
    rows.make_running(name="orders")

    def queries(*topics: Topic) -> int:
        with CaptureQueriesContext(connection) as captured:
            PageRenderer().render(topics)
        return len(captured)

    alone = queries(Topic(page=Page.OVERVIEW))
    both = queries(Topic(page=Page.OVERVIEW), Topic(page=Page.CONSUMER, subject="orders"))
    assert both <= alone + 2


@pytest.mark.django_db
def test_a_tick_shows_what_changed_since_the_last() -> None:
    orders = rows.make_running(name="orders")
    renderer, topic = PageRenderer(), Topic(page=Page.OVERVIEW)
    assert renderer.render([topic])[topic][f"c{orders.pk}-in"] == "412"
    Subscription.objects.update(received_per_s=88)
    Worker.objects.update(state="stopped")
    fragments = renderer.render([topic])[topic]
    assert "stopped" in fragments[f"c{orders.pk}-state"]
    assert fragments[f"c{orders.pk}-in"] == formats.NONE
    Consumer.objects.all().delete()
    assert renderer.render([topic])[topic]["roster"] == ""


@pytest.mark.django_db
def test_the_list_of_replays_hears_how_one_ended() -> None:
    running = Replay.objects.create(selection="all", state="running")
    ended = Replay.objects.create(selection="all", state="done", finished_at=timezone.now())
    old = Replay.objects.create(selection="all", state="done", finished_at=timezone.now() - timedelta(hours=1))
    fragments = render_once(Topic(page=Page.REPLAYS))
    assert f"replay-{running.pk}" in fragments
    assert "done" in fragments[f"replay-{ended.pk}"]
    assert f"replay-{old.pk}" not in fragments

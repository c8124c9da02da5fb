"""The correlation id of an HTTP request, sync and async."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from request_id_django_log import local_threading
from request_id_django_log.middleware import RequestIdDjangoLog

from stompconsole import correlation
from stompconsole.middleware import CorrelationIdMiddleware

Ask = Callable[..., HttpResponse]


@pytest.fixture(autouse=True)
def _no_id_is_left_over() -> Iterator[None]:
    vars(local_threading).clear()
    yield
    # Theirs stays in the thread for good.
    vars(local_threading).clear()
    assert correlation.current() == ""


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(correlation.current())


async def async_view(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    seen = {correlation.current(), await asyncio.to_thread(correlation.current)}
    return HttpResponse(",".join(seen))


def ask_sync(**headers: str) -> HttpResponse:
    answer = CorrelationIdMiddleware(view)(RequestFactory().get("/", headers=headers))
    assert isinstance(answer, HttpResponse)
    return answer


def ask_async(**headers: str) -> HttpResponse:
    middleware: Any = CorrelationIdMiddleware(async_view)
    return asyncio.run(middleware(AsyncRequestFactory().get("/", headers=headers)))


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    function: Ask = request.param
    return function


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"X-Correlation-ID": "c-1"}, "c-1"),
        ({"X-Request-ID": "r-1"}, "r-1"),
        ({"X-Correlation-ID": "c-1", "X-Request-ID": "r-1"}, "c-1"),
        ({"X-Correlation-ID": "x" * 129, "X-Request-ID": "r-1"}, "r-1"),
    ],
)
def test_an_id_that_a_request_brings_is_in_hand_and_told(ask: Ask, headers: dict[str, str], taken: str) -> None:
    response = ask(**headers)
    assert response.content.decode() == taken
    assert response["X-Correlation-ID"] == taken


@pytest.mark.parametrize("given", [{}, {"X-Correlation-ID": "a\nb"}, {"X-Request-ID": "x" * 500}])
def test_where_there_is_none_or_a_bad_one_an_id_is_made(ask: Ask, given: dict[str, str]) -> None:
    first, second = ask(**given), ask(**given)
    assert first.content.decode() == first["X-Correlation-ID"]
    assert uuid.UUID(first["X-Correlation-ID"]) != uuid.UUID(second["X-Correlation-ID"])


def test_a_response_that_has_the_header_keeps_it() -> None:
    def own(request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={"X-Correlation-ID": "mine"})

    answer = CorrelationIdMiddleware(own)(RequestFactory().get("/"))
    assert isinstance(answer, HttpResponse)
    assert answer["X-Correlation-ID"] == "mine"


def test_the_id_is_put_down_after_a_view_that_raises() -> None:
    def fails(request: HttpRequest) -> HttpResponse:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        CorrelationIdMiddleware(fails)(RequestFactory().get("/"))


def test_requests_that_are_answered_side_by_side_keep_their_ids_apart() -> None:
    async def answers() -> list[str]:
        together = asyncio.Barrier(2)

        async def slow(request: HttpRequest) -> HttpResponse:
            await together.wait()
            return HttpResponse(f"{correlation.current()} {await sync_to_async(correlation.current)()}")

        middleware: Any = CorrelationIdMiddleware(slow)
        requests = [AsyncRequestFactory().get("/", headers={"X-Request-ID": name}) for name in ("a", "b")]
        return [answer.content.decode() for answer in await asyncio.gather(*map(middleware, requests))]

    assert asyncio.run(answers()) == ["a a", "b b"]


@override_settings(REQUEST_ID_CONFIG={"REQUEST_ID_HEADER": "HTTP_X_TRACE", "GENERATE_REQUEST_ID_IF_NOT_FOUND": True})
def test_behind_request_id_django_log_both_have_the_same_id() -> None:
    behind: Any = RequestIdDjangoLog(CorrelationIdMiddleware(view))  # type: ignore[arg-type]
    given = behind(RequestFactory().get("/", headers={"X-Trace": "t-1", "X-Request-ID": "r-1"}))
    assert given.content.decode() == "t-1"
    made = behind(RequestFactory().get("/"))
    assert made.content.decode() == made["X-Correlation-ID"] == local_threading.request_id


def test_an_id_that_request_id_django_log_left_in_the_thread_is_not_this_request_s() -> None:
    """It never takes its id out of the thread again."""
    local_threading.request_id = "of the request before"
    answer = ask_sync()
    assert uuid.UUID(answer["X-Correlation-ID"])
    assert answer.content.decode() == answer["X-Correlation-ID"]


def test_the_project_s_log_lines_show_it(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(correlation.CorrelationIdFilter())
    with caplog.at_level(logging.WARNING, "django.request"):
        response = client.get("/no-such-page", headers={"X-Correlation-ID": "c-1"})
    assert response["X-Correlation-ID"] == "c-1"
    (line,) = [record for record in caplog.records if record.name == "django.request"]
    assert line.correlation_id == "c-1"  # type: ignore[attr-defined]

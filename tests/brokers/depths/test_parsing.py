"""What brokers say of a queue, read from what they were seen to send."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from stompconsole.brokers.depths import Depth, Management, artemis_management, http, jolokia, rabbitmq_api, statistics
from stompconsole.brokers.depths.depth import EMPTY, moment, queue_of
from stompconsole.transport.frames import Frame

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
PLACE = Management(url="http://rabbit:15672", user="guest", password="secret", vhost="/")

STATISTICS = (
    b"<map>\n  <entry>\n    <string>memoryUsage</string>\n    <long>3198</long>\n  </entry>\n"
    b"  <entry><string>destinationName</string><string>queue://orders</string></entry>\n"
    b"  <entry>\n    <string>size</string>\n    <long>5</long>\n  </entry>\n"
    b"  <entry><string>inflightCount</string><long>2</long></entry>"
    b"  <entry><string>consumerCount</string><long>1</long></entry>"
    b"  <entry><string>averageEnqueueTime</string><double>0.4</double></entry>"
    b"  <entry><string>firstMessageTimestamp</string><long>1796040000000</long></entry>\n</map>"
)


def asked(answer: httpx.Response, destinations: list[str], place: Management = PLACE) -> dict[str, Depth]:
    """What a management API that gives this answer is understood to say."""
    return dict(
        rabbitmq_api.read(
            httpx.Client(transport=httpx.MockTransport(lambda _: answer), base_url="http://x"), place, destinations
        )
    )


def test_rabbitmq_tells_ready_un_acked_and_the_time_of_the_first() -> None:
    said = {"messages": 7, "messages_ready": 5, "messages_unacknowledged": 2, "consumers": 3}
    assert rabbitmq_api.depth({**said, "head_message_timestamp": int(AT.timestamp())}) == Depth(
        waiting=5, in_flight=2, consumers=3, oldest_at=AT
    )
    assert rabbitmq_api.depth({**said, "head_message_timestamp": ""}).oldest_at is None
    assert rabbitmq_api.depth({**said, "messages_ready": 0, "head_message_timestamp": 1}).oldest_at is None


@pytest.mark.parametrize("said", [{"name": "orders", "state": "running"}, [], None, {"messages_ready": "many"}])
def test_a_queue_of_rabbitmq_without_figures_is_not_known_rather_than_empty(said: object) -> None:
    found = rabbitmq_api.depth(said)
    assert found.waiting is None
    assert "no figures" in found.reason


def test_a_queue_that_rabbitmq_does_not_have_is_empty_but_a_web_server_without_the_path_is_no_answer() -> None:
    missing = httpx.Response(404, json={"error": "Object Not Found"}, request=httpx.Request("GET", "http://x"))
    assert asked(missing, ["/queue/orders"]) == {"/queue/orders": EMPTY}
    with pytest.raises(httpx.HTTPStatusError):
        asked(httpx.Response(404, text="nginx", request=httpx.Request("GET", "http://x")), ["/queue/orders"])


def test_rabbitmq_is_asked_for_the_queue_by_its_own_name_in_its_virtual_host() -> None:
    paths = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path.decode())
        return httpx.Response(200, json={"messages_ready": 1})

    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://rabbit:15672/rabbit")
    names = ["/queue/a%2Fb", "/amq/queue/plain", "bare", "/exchange/amq.topic/key"]
    found = rabbitmq_api.read(client, Management(url="", vhost="shop/eu"), names)
    assert paths == [f"/rabbit/api/queues/shop%2Feu/{name}" for name in ("a%2Fb", "plain", "bare")]
    assert found["/exchange/amq.topic/key"].waiting is None


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "refuses the login of guest (401)"), (500, "answers 500"), (302, "answers 302"), (200, "can be read")],
)
def test_what_is_wrong_with_a_management_api_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    def client(place: Management) -> httpx.Client:
        answering = httpx.MockTransport(lambda _: httpx.Response(status, text="<html>"))
        return httpx.Client(transport=answering, base_url=place.url)

    monkeypatch.setattr(http, "_client", client)
    found = http.ask(PLACE, rabbitmq_api.read, ["/queue/a", "/queue/b"])
    assert found.keys() == {"/queue/a", "/queue/b"}
    assert words in found["/queue/a"].reason
    assert "secret" not in found["/queue/a"].reason


def test_nobody_at_the_management_url_is_said_in_words() -> None:
    found = http.ask(Management(url="http://127.0.0.1:1"), rabbitmq_api.read, ["/queue/a"])
    assert "can't be reached" in found["/queue/a"].reason


def test_the_statistics_plugin_counts_what_is_handed_out_into_its_size() -> None:
    assert statistics.depth(STATISTICS) == Depth(
        waiting=3, in_flight=2, consumers=1, oldest_at=datetime.fromtimestamp(1796040000, UTC)
    )
    assert statistics.depth(b"<map/>") == Depth(waiting=0, in_flight=0)


def test_artemis_answers_with_a_list_of_one_or_says_that_it_failed() -> None:
    def answer(body: bytes, succeeded: str = "true") -> Frame:
        return Frame("MESSAGE", {"_AMQ_OperationSucceeded": succeeded}, body)

    assert artemis_management.value(answer(b"[2]")) == 2
    assert artemis_management.value(answer(b"[null]")) is None
    assert artemis_management.value(answer(b'["AMQ229067: Cannot find resource"]', "false")) is None
    assert artemis_management.value(answer(b"\xac\xed\x00\x05")) is None


def test_jolokia_of_both_activemqs_is_read_by_the_names_of_queues() -> None:
    artemis = {"Name": "orders", "MessageCount": 5, "DeliveringCount": 2, "ConsumerCount": 1, "FirstMessageAge": 4_000}
    classic = {"Name": "orders", "QueueSize": 5, "InFlightCount": 5, "ConsumerCount": 1}

    def reading(bean: dict[str, object]) -> httpx.Client:
        said = {"status": 200, "value": {"mbean": bean}}
        return httpx.Client(
            transport=httpx.MockTransport(lambda _: httpx.Response(200, json=said)), base_url="http://x"
        )

    found = jolokia.read_artemis(reading(artemis), PLACE, ["/queue/orders", "topic::orders", "/queue/other"])
    assert found["/queue/orders"].waiting == found["topic::orders"].waiting == 3
    assert found["/queue/orders"].oldest_at is not None
    assert found["/queue/other"] == EMPTY
    assert jolokia.read_classic(reading(classic), PLACE, ["/queue/orders"]) == {
        "/queue/orders": Depth(waiting=0, in_flight=5, consumers=1)
    }


def test_jolokia_names_the_place_it_is_asked_from_and_what_it_refuses_is_told() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["Origin"] == "http://artemis"
        return httpx.Response(200, json={"status": 403, "error": "Origin null is not allowed"})

    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://artemis:8161")
    with pytest.raises(httpx.RemoteProtocolError, match="Origin null is not allowed"):
        jolokia.read_artemis(client, Management(url="http://artemis:8161"), ["/queue/a"])


@pytest.mark.parametrize(("stamp", "found"), [(1796040000, 2026), (1796040000000, 2026), (0, 0), ("x", 0), (1e300, 0)])
def test_times_come_in_seconds_and_in_milliseconds(stamp: object, found: int) -> None:
    assert getattr(moment(stamp), "year", 0) == found


def test_a_destination_names_its_queue() -> None:
    assert [queue_of(each) for each in ("/queue/a", "/amq/queue/a", "a")] == ["a", "a", "a"]

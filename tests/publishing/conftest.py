"""A development broker to look into, its row, and senders that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from stompconsole.delivery.specs import BrokerSpec
from stompconsole.publishing import Publisher, process_senders
from stompconsole.publishing.pipelining import Pipeline
from stompconsole.transport.session import Endpoint
from tests.deadletters.making import make_broker
from tests.support.devbroker import RunningDevBroker, running_devbroker

QUEUE = "/queue/orders"


@pytest.fixture(autouse=True)
def _senders_closed() -> Iterator[None]:
    yield
    process_senders().close(2.0)


@pytest.fixture
def wire() -> Iterator[RunningDevBroker]:
    with running_devbroker(transcript_frames=200) as running_broker:
        yield running_broker
        # Before it closes: a sender with messages left over would be connecting again.
        process_senders().close(2.0)


@pytest.fixture
def broker(wire: RunningDevBroker, transactional_db: None) -> str:
    """The name of its row."""
    return make_broker(port=wire.port, receipt_timeout_s=1.0).name


@pytest.fixture
def spec(wire: RunningDevBroker) -> BrokerSpec:
    """The broker for who needs no rows."""
    endpoint = Endpoint(host=wire.host, port=wire.port)
    return BrokerSpec(name="wire", endpoints=(endpoint,), connect_timeout_s=5.0, receipt_timeout_s=1.0)


@pytest.fixture
def make_publisher(spec: BrokerSpec) -> Iterator[Callable[..., Publisher]]:
    """Makes publishers for the broker, with other fields of its spec if need be, and closes them."""
    made: list[Publisher] = []

    def make(**fields: object) -> Publisher:
        made.append(Publisher(replace(spec, **fields)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for publisher in made:
        publisher.close()


@pytest.fixture
def publisher(make_publisher: Callable[..., Publisher]) -> Publisher:
    return make_publisher()


@pytest.fixture
def awaited_at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many receipts were awaited at each moment at which one was waited for."""
    counts: list[int] = []
    confirm_first = Pipeline._confirm_first

    def count(pipeline: Pipeline) -> None:
        counts.append(len(pipeline._awaited))
        confirm_first(pipeline)

    monkeypatch.setattr(Pipeline, "_confirm_first", count)
    return counts

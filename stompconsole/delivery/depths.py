"""How much waits in queues of one broker, asked on a connection of its own or of its management API.

Blocking, for at most some seconds a step. Refuses to raise what brokers and networks do: it is the reason why a depth
is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace

from stompconsole.brokers import BrokerKind, Dialect, Wanted, dialect_for
from stompconsole.brokers.depths import Depth, Management, http, unknown
from stompconsole.brokers.depths.depth import NoAnswer
from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import BrokerError, ConnectFailed
from stompconsole.transport.session import Session

LEAVE_LIMIT_S = 2.0
HOST = "{host}"
"""In a management URL: the host that is in use, so that it is right on the standby as well."""

OWN_QUEUES = "each subscription of a topic has a queue of its own, and nothing waits while nobody listens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to ask of one broker. ``server`` is how it greeted somebody lately, empty if nobody. ``broker`` has the one
    endpoint that is in use."""

    broker: BrokerSpec
    management: Management | None
    server: str
    wanted: tuple[Wanted, ...]


def read(question: Question) -> dict[Wanted, Depth]:
    """The depth of each, or why it is not known."""
    if question.broker.kind == BrokerKind.AUTO and not question.server:
        return _over_stomp(question)
    dialect = dialect_for(question.broker.kind, question.server)
    if question.management is not None and dialect.depths_over_http() is not None:
        return _over_http(question, dialect)
    if dialect.depths_over_stomp() is None:
        return dict.fromkeys(question.wanted, unknown(dialect.depths_need))
    return _over_stomp(question)


def _over_http(question: Question, dialect: Dialect) -> dict[Wanted, Depth]:
    way, management = dialect.depths_over_http(), question.management
    assert way is not None
    assert management is not None  # both asked for by who calls
    place = replace(management, url=management.url.replace(HOST, question.broker.endpoints[0].host))
    addresses = _addresses(question, dialect)
    return _by_wanted(question, addresses, http.ask(place, way, _known(addresses)))


def _over_stomp(question: Question) -> dict[Wanted, Depth]:
    try:
        session = open_session(question.broker)
    except ConnectFailed as error:
        return dict.fromkeys(question.wanted, unknown(str(error)))
    try:
        return _on(session, question)
    except (BrokerError, NoAnswer, FutureTimeout) as error:
        why = session.close_reason or str(error) or "the broker did not answer in time"
        return dict.fromkeys(question.wanted, unknown(why))
    finally:
        session.disconnect(LEAVE_LIMIT_S)


def _on(session: Session, question: Question) -> dict[Wanted, Depth]:
    dialect = dialect_for(question.broker.kind, session.server)
    if question.management is not None and dialect.depths_over_http() is not None:
        return _over_http(question, dialect)
    way = dialect.depths_over_stomp()
    if way is None:
        return dict.fromkeys(question.wanted, unknown(dialect.depths_need))
    addresses = _addresses(question, dialect)
    return _by_wanted(question, addresses, way(session, _known(addresses)))


def _addresses(question: Question, dialect: Dialect) -> dict[Wanted, str]:
    return {wanted: dialect.own_address(wanted) for wanted in question.wanted}


def _known(addresses: Mapping[Wanted, str]) -> Sequence[str]:
    return sorted({address for address in addresses.values() if address})


def _by_wanted(question: Question, addresses: Mapping[Wanted, str], found: Mapping[str, Depth]) -> dict[Wanted, Depth]:
    own, silent = unknown(OWN_QUEUES), unknown("the broker says nothing of it")
    return {wanted: found.get(addresses[wanted], silent) if addresses[wanted] else own for wanted in question.wanted}

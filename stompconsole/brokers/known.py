"""The dialects by kind and by greeting."""

from __future__ import annotations

from stompconsole.brokers.activemq import ActiveMQ
from stompconsole.brokers.artemis import Artemis
from stompconsole.brokers.development import Development
from stompconsole.brokers.dialect import BrokerKind, Dialect
from stompconsole.brokers.rabbitmq import RabbitMQ

_BY_KIND: dict[str, Dialect] = {
    BrokerKind.RABBITMQ: RabbitMQ(),
    BrokerKind.ACTIVEMQ: ActiveMQ(),
    BrokerKind.ARTEMIS: Artemis(),
    BrokerKind.GENERIC: Dialect(),
}
_DEVELOPMENT = Development()


def dialect_for(kind: str, server: str) -> Dialect:
    """The dialect set by hand, or the one the ``server`` header of CONNECTED names; unknown is plain STOMP 1.2."""
    if kind != BrokerKind.AUTO:
        return _BY_KIND[kind]
    product = server.partition("/")[0]
    match product:
        case "RabbitMQ":
            return _BY_KIND[BrokerKind.RABBITMQ]
        case "ActiveMQ":
            return _BY_KIND[BrokerKind.ACTIVEMQ]
        case "ActiveMQ-Artemis":
            return _BY_KIND[BrokerKind.ARTEMIS]
        case "stompconsole-devbroker":
            return _DEVELOPMENT
        case _:
            return _BY_KIND[BrokerKind.GENERIC]

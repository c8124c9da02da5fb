"""What an operator should know about a definition that works but may not be meant: said after saving it."""

from __future__ import annotations

from collections.abc import Iterator

from stompconsole import handlers
from stompconsole.brokers import BrokerKind, dialect_for
from stompconsole.conf import settings_now
from stompconsole.errors import HandlerNotFound
from stompconsole.models import AckMode, Broker, Consumer, DeadLetterVia
from stompconsole.models.names import looks_usual


def about_consumer(consumer: Consumer) -> Iterator[str]:
    """Sentences about a consumer that was saved, the gravest first."""
    try:
        handlers.resolve(consumer.handler, settings_now().handlers)
    except HandlerNotFound as error:
        yield f"Its subscriptions will be broken until the handler is there: {error}"
    if consumer.ack_mode == AckMode.AUTO:
        yield (
            "With ack mode auto the broker forgets a message as soon as it has sent it:"
            " what is in a worker that dies is lost, and the broker never gives a failed one again."
        )
    if not looks_usual(consumer.destination):
        yield (
            f"{consumer.destination} begins with neither /queue/ nor /topic/:"
            " most brokers take that for the whole name of a queue."
        )
    yield from _about_numbers(consumer)
    yield from _about_neighbours(consumer)


def _about_numbers(consumer: Consumer) -> Iterator[str]:
    if consumer.prefetch < consumer.concurrency:
        yield (
            f"Prefetch {consumer.prefetch} is less than concurrency {consumer.concurrency}:"
            f" {consumer.concurrency - consumer.prefetch} handler threads will never have work."
        )
    if consumer.ack_mode == AckMode.CLIENT and consumer.concurrency > 1:
        yield (
            "With ack mode client an ACK waits until all earlier messages are done, so a slow one holds up the others."
            " client-individual is faster with several handler threads."
        )
    if consumer.destination.startswith("/topic/") and consumer.instances != 1:
        yield "Every slot on a topic gets every message: with more than one, each is handled more than once."


def _about_neighbours(consumer: Consumer) -> Iterator[str]:
    others = Consumer.objects.filter(broker=consumer.broker_id).exclude(pk=consumer.pk)
    for other in others:
        if other.capture and other.dead_letters_go_to == consumer.destination:
            yield (
                f"{consumer.destination} is where the dead letters of {other.name} are captured from:"
                f" the two will share them. Switch off capture of {other.name} if this consumer is to have them."
            )


def about_broker(broker: Broker) -> Iterator[str]:
    """Sentences about a broker that was saved."""
    if broker.dead_letter_via == DeadLetterVia.NACK:
        dialect = broker.dialect()
        yield f"Dead-lettering by NACK: on {dialect.kind.label} a message that is NACKed is {dialect.nack_means.value}."
    if not broker.heartbeat_receive_ms:
        yield "Without heart-beats from the broker a connection that died in silence is not noticed."
    if broker.use_tls and not broker.tls_verify:
        yield "The certificate is not verified: whoever is in between can read the password."


def meanings_of_nack() -> str:
    """What NACK does on each kind of broker, as one sentence each."""
    kinds = (BrokerKind.RABBITMQ, BrokerKind.ACTIVEMQ, BrokerKind.ARTEMIS)
    said = (f"{kind.label}: {dialect_for(kind, '').nack_means.value}." for kind in kinds)
    return " ".join(said)

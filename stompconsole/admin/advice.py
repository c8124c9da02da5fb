"""What an operator should know about a definition that works but may not be meant: said after saving it."""

from __future__ import annotations

from collections.abc import Iterator

from stompconsole import handlers
from stompconsole.brokers import BrokerKind, Dialect, dialect_for
from stompconsole.conf import settings_now
from stompconsole.errors import HandlerNotFound
from stompconsole.models import LONGEST_HELD_S, AckMode, Broker, Consumer, DeadLetterVia
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
    yield from _about_subscription(consumer, consumer.broker.dialect())
    yield from _about_neighbours(consumer)


def _about_numbers(consumer: Consumer) -> Iterator[str]:
    if consumer.prefetch < consumer.concurrency:
        yield (
            f"Prefetch {consumer.prefetch} is less than concurrency {consumer.concurrency}:"
            f" {consumer.concurrency - consumer.prefetch} handler threads will never have work."
        )
    if consumer.cannot_park and consumer.max_attempts > 1 and consumer.retry_max_delay_s > LONGEST_HELD_S:
        yield (
            f"Retries wait in the worker for {LONGEST_HELD_S:g} s at most, since brokers take back what is held for"
            f" long, and can't wait anywhere else: {consumer.cannot_park}."
        )
    if consumer.ack_mode == AckMode.CLIENT and consumer.concurrency > 1:
        yield (
            "With ack mode client an ACK waits until all earlier messages are done, so a slow one holds up the others."
            " client-individual is faster with several handler threads."
        )


def _about_subscription(consumer: Consumer, dialect: Dialect) -> Iterator[str]:
    wanted, broker = consumer.wanted, consumer.broker
    if consumer.durable and not wanted.is_topic:
        yield f"Durable has no effect: {consumer.destination} is no topic, and a queue keeps its messages anyway."
    if broker.is_known:
        yield from dialect.caveats(wanted)
    elif wanted.is_durable or wanted.exclusive:
        yield (
            "No worker is connected, so it is not known what the broker can do: set its kind, or save this consumer"
            " again when one is, and what does not work is said here."
        )
    if not wanted.is_topic or (wanted.is_durable and not broker.is_known):
        return
    if consumer.instances != 1 and not (wanted.is_durable and dialect.durable_subscriptions):
        yield "Every slot on a topic gets every message: with more than one, each is handled more than once."
    if not dialect.own_address(wanted):
        retried = " or tried again later" if consumer.retry_later else ""
        yield f"A dead letter that is replayed{retried} goes to every subscriber of {consumer.destination} again."


def _about_neighbours(consumer: Consumer) -> Iterator[str]:
    others = Consumer.objects.filter(broker=consumer.broker_id).exclude(pk=consumer.pk)
    for other in others:
        if other.capture and other.dead_letters_go_to == consumer.destination:
            yield (
                f"{consumer.destination} is where the dead letters of {other.name} are captured from:"
                f" the two will share them. Switch off capture of {other.name} if this consumer is to have them."
            )
        yield from _about_sharing(consumer, other)


def _about_sharing(consumer: Consumer, other: Consumer) -> Iterator[str]:
    if consumer.capture != other.capture and consumer.dead_letters_go_to == other.dead_letters_go_to:
        captures = consumer if consumer.capture else other
        yield (
            f"The dead letters of {consumer.name} and of {other.name} are in one queue, {consumer.dead_letters_go_to}:"
            f" capture by {captures.name} takes those of both."
        )
    wanted, same = consumer.wanted, other.wanted
    if wanted.is_durable and (wanted.subscriber, wanted.destination) == (same.subscriber, same.destination):
        yield (
            f"{other.name} has the same durable subscription, {wanted.subscriber}: each message goes to one of the two."
            " Give one of them another client id if both are to get it."
        )


def about_broker(broker: Broker) -> Iterator[str]:
    """Sentences about a broker that was saved."""
    if broker.dead_letter_via == DeadLetterVia.NACK:
        dialect = broker.dialect()
        yield f"Dead-lettering by NACK: on {dialect.kind.label} a message that is NACKed is {dialect.nack_means.value}."
        for consumer in broker.consumers.exclude(retry_later="").order_by("name"):
            yield f"{consumer.name} is not tried again after {consumer.retry_later}: {consumer.cannot_park}."
    if not broker.heartbeat_receive_ms:
        yield "Without heart-beats from the broker a connection that died in silence is not noticed."
    if broker.use_tls and not broker.tls_verify:
        yield "The certificate is not verified: whoever is in between can read the password."


def meanings_of_nack() -> str:
    """What NACK does on each kind of broker, as one sentence each."""
    kinds = (BrokerKind.RABBITMQ, BrokerKind.ACTIVEMQ, BrokerKind.ARTEMIS)
    said = (f"{kind.label}: {dialect_for(kind, '').nack_means.value}." for kind in kinds)
    return " ".join(said)

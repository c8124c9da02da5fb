"""The operator's definition of what should run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone

from stompconsole.brokers import Dialect, Wanted
from stompconsole.delivery.specs import (
    AckMode,
    Codec,
    ConsumerSpec,
    RetryPolicy,
    dead_letter_destination,
    durable_name,
)
from stompconsole.models.broker import Broker
from stompconsole.models.names import validate_destination, validate_identifier

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from stompconsole.models.deadletter import DeadLetter
    from stompconsole.models.subscription import Subscription

MAX_THREADS = 100
MAX_PREFETCH = 10_000
MAX_DESTINATION = 500


class Consumer(models.Model):
    """One destination, one handler, and how they are run."""

    name = models.SlugField(unique=True, help_text="Short name, shown on every page and sent with dead letters.")
    broker = models.ForeignKey(Broker, on_delete=models.PROTECT, related_name="consumers")
    destination = models.CharField(
        max_length=MAX_DESTINATION,
        validators=[validate_destination],
        help_text="As the broker names it: /queue/orders or /topic/prices.",
    )
    handler = models.CharField(max_length=500, help_text="One of the registered handlers.")
    paused = models.BooleanField(default=False)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_reason = models.CharField(max_length=200, blank=True)
    instances = models.PositiveIntegerField(default=1, help_text="Slots over all workers; 0 means one in every worker.")
    concurrency = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_THREADS)],
        help_text="Handler threads of each slot.",
    )
    prefetch = models.PositiveIntegerField(
        default=100,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_PREFETCH)],
        help_text="Messages the broker hands out before it waits for an ACK.",
    )
    ack_mode = models.CharField(
        max_length=20,
        choices=[
            (AckMode.CLIENT_INDIVIDUAL.value, "client-individual: each message by itself"),
            (AckMode.CLIENT.value, "client: one ACK settles all before it"),
            (AckMode.AUTO.value, "auto: the broker forgets it when it is sent; a crash loses messages"),
        ],
        default=AckMode.CLIENT_INDIVIDUAL.value,
    )
    codec = models.CharField(
        "body is",
        max_length=20,
        choices=[
            (Codec.JSON.value, "JSON, whatever the content-type says"),
            (Codec.TEXT.value, "text"),
            (Codec.BYTES.value, "bytes"),
            (Codec.BY_CONTENT_TYPE.value, "by its content-type"),
        ],
        default=Codec.JSON.value,
    )
    max_attempts = models.PositiveIntegerField(
        default=1, validators=[MinValueValidator(1)], help_text="1 dead-letters at the first failure."
    )
    retry_first_delay_s = models.FloatField("first retry after (s)", default=1.0, validators=[MinValueValidator(0)])
    retry_factor = models.FloatField("each next retry times", default=2.0, validators=[MinValueValidator(1)])
    retry_max_delay_s = models.FloatField("longest retry delay (s)", default=60.0, validators=[MinValueValidator(0)])
    dead_letter_destination = models.CharField(
        max_length=MAX_DESTINATION,
        blank=True,
        validators=[validate_destination],
        help_text="Empty means /queue/DLQ. and the destination's name, such as /queue/DLQ.orders.",
    )
    capture = models.BooleanField(
        "capture dead letters",
        default=True,
        help_text="Move them from the broker into the console, to be seen and replayed there.",
    )
    correlation_id_required = models.BooleanField(
        default=False, help_text="Dead-letter a message that has no correlation-id header."
    )
    durable = models.BooleanField(
        "durable subscription",
        default=False,
        help_text="Of a topic: messages sent while no worker listens wait in the broker.",
    )
    exclusive = models.BooleanField(
        default=False, help_text="One subscription gets all messages; another takes over when it ends."
    )
    client_id = models.CharField(
        max_length=200,
        blank=True,
        validators=[validate_identifier],
        help_text="Names the durable subscription in the broker; empty means the consumer's name.",
    )
    subscription_id = models.CharField(
        max_length=200, blank=True, validators=[validate_identifier], help_text="Empty: the console makes one up."
    )
    keep_days = models.PositiveIntegerField(
        "keep dead letters for (days)", null=True, blank=True, help_text="Older ones are deleted. Empty keeps all."
    )
    keep_count = models.PositiveIntegerField(
        "keep at most (dead letters)", null=True, blank=True, help_text="The newest; the others are deleted."
    )
    keep_bytes = models.PositiveBigIntegerField(
        "keep at most (bytes of bodies)", null=True, blank=True, help_text="Of the newest; the others are deleted."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    subscriptions: models.Manager[Subscription]
    dead_letters: models.Manager[DeadLetter]

    class Meta:
        ordering = ["name"]
        permissions = [
            ("view_console", "Can see the console"),
            ("operate_consumer", "Can pause and resume consumers"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("stompconsole:consumer", args=[self.name])

    @property
    def dead_letters_go_to(self) -> str:
        """The dead-letter destination: the one given, else the one made from the destination's name."""
        return self.dead_letter_destination or dead_letter_destination(self.destination)

    @property
    def wanted(self) -> Wanted:
        """What its subscriptions ask of the broker: as their specs say it, but it takes no password to know it."""
        return Wanted(
            destination=self.destination,
            prefetch=self.prefetch,
            subscriber=durable_name(self.client_id or self.name) if self.durable else "",
            exclusive=self.exclusive,
            ack=self.ack_mode,
        )

    def mark_paused(self, user: User | None, reason: str = "") -> None:
        """Set the fields of a pause: who, when, why. Saves nothing."""
        self.paused, self.paused_by, self.paused_at, self.paused_reason = True, user, timezone.now(), reason[:200]

    def mark_resumed(self) -> None:
        """Clear the fields of a pause. Saves nothing."""
        self.paused, self.paused_by, self.paused_at, self.paused_reason = False, None, None, ""

    def clean(self) -> None:
        problems = {}
        if self.destination and self.dead_letters_go_to == self.destination:
            problems["dead_letter_destination"] = (
                "It can't be the destination itself: a failing message would come for ever."
            )
        if self.broker_id:
            dialect = self.broker.dialect()
            for field in ("destination", "dead_letter_destination"):
                problems |= {field: refusal} if (refusal := dialect.refuses(getattr(self, field))) else {}
            problems |= self._impossible(dialect) or self._taken(dialect)
        if problems:
            raise ValidationError(problems)

    def _impossible(self, dialect: Dialect) -> dict[str, str]:
        """What the broker can't do, at the field whose change would make it possible."""
        # Nothing was typed that is a number: the field itself says so.
        instances = 1 if self.instances is None else self.instances
        words = dialect.cannot(self.wanted, instances)
        if not words:
            return {}
        if not dialect.cannot(self.wanted, 1):
            return {"instances": words}
        shared = replace(self.wanted, exclusive=False)
        return {"durable" if dialect.cannot(shared, 1) else "exclusive": words}

    def _taken(self, dialect: Dialect) -> dict[str, str]:
        """Another consumer has the name that only one connection can have."""
        mine = self.wanted
        if not (dialect.one_connection_per_subscriber and mine.is_durable):
            return {}
        label = dialect.kind.label
        for other in Consumer.objects.filter(broker=self.broker_id, durable=True).exclude(pk=self.pk):
            if other.wanted.is_durable and other.wanted.subscriber == mine.subscriber:
                words = f"{other.name} is {mine.subscriber} already, and {label} lets in only one of them."
                return {"client_id": words}
        return {}

    def spec(self) -> ConsumerSpec:
        """The row, its broker included, as a frozen value."""
        return ConsumerSpec(
            name=self.name,
            broker=self.broker.spec(),
            destination=self.destination,
            handler=self.handler,
            ack_mode=AckMode(self.ack_mode),
            threads=self.concurrency,
            prefetch=self.prefetch,
            codec=Codec(self.codec),
            retry=RetryPolicy(
                max_attempts=self.max_attempts,
                first_delay_s=self.retry_first_delay_s,
                factor=self.retry_factor,
                max_delay_s=self.retry_max_delay_s,
            ),
            dead_letter_destination=self.dead_letter_destination,
            correlation_id_required=self.correlation_id_required,
            durable=self.durable,
            exclusive=self.exclusive,
            client_id=self.client_id,
            subscription_id=self.subscription_id,
        )

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
from stompconsole.conf import settings_now
from stompconsole.delivery.breaker import LONGEST_BACK_OFF_S, why_never
from stompconsole.delivery.later import steps_of
from stompconsole.delivery.specs import (
    DEFAULT_PROBE_S,
    AckMode,
    BreakerPolicy,
    Codec,
    ConsumerSpec,
    DeadLetterVia,
    Parking,
    Quoting,
    RetryPolicy,
    dead_letter_destination,
    durable_name,
)
from stompconsole.errors import ConfigurationError
from stompconsole.models.broker import Broker
from stompconsole.models.names import (
    validate_destination,
    validate_identifier,
    validate_redaction,
    validate_steps,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from stompconsole.models.deadletter import DeadLetter
    from stompconsole.models.subscription import Subscription

MAX_THREADS = 100
MAX_PREFETCH = 10_000
MAX_DESTINATION = 500
MAX_IN_A_ROW = 10_000
MAX_PERCENT = 99


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
    retry_later = models.CharField(
        "then try again after",
        max_length=200,
        blank=True,
        validators=[validate_steps],
        help_text="When all attempts have failed: 5m, 1h, 6h tries three times more. Empty dead-letters at once.",
    )
    breaker_in_a_row = models.PositiveIntegerField(
        "breaker opens after (failures in a row)", default=0, validators=[MaxValueValidator(MAX_IN_A_ROW)]
    )
    breaker_percent = models.PositiveIntegerField(
        "or when more have failed than (%)", default=0, validators=[MaxValueValidator(MAX_PERCENT)]
    )
    breaker_probe_s = models.FloatField(
        "tries one message after (s)",
        default=DEFAULT_PROBE_S,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_BACK_OFF_S)],
    )
    breaker_tried_at = models.DateTimeField(null=True, editable=False)
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
    store_body = models.BooleanField(
        "store bodies of dead letters",
        default=True,
        help_text="If not, messages wait in /queue/HELD. and the queue's name, and the database has no body of them.",
    )
    redact = models.TextField(
        "never stored in clear",
        blank=True,
        max_length=10_000,
        validators=[validate_redaction],
        help_text="A rule a line: a header's name, or a path such as $.card.number, $.items[*].secret, $..password.",
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
    def cannot_park(self) -> str:
        """Why a message can't leave the worker to be tried again later, in words; empty when it can."""
        if not self.capture:
            return "nothing captures its dead letters, so that nothing could bring a message back"
        if self.broker.dead_letter_via == DeadLetterVia.NACK:
            return f"{self.broker} dead-letters by NACK, so that the console is not told when a message is due"
        if self.wanted.is_topic and not self.wanted.is_durable:
            return f"every subscriber of {self.destination} would get a message that is sent back"
        return ""

    @property
    def retry_steps(self) -> int:
        """How many long steps it has; 0 also for some that can't be read, which its subscriptions then say."""
        try:
            return len(steps_of(self.retry_later))
        except ConfigurationError:
            return 0

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
            if self.retry_later and (why := self.cannot_park):
                problems["retry_later"] = f"It can't be tried again later: {why}."
            dialect = self.broker.dialect()
            for field in ("destination", "dead_letter_destination"):
                problems |= {field: refusal} if (refusal := dialect.refuses(getattr(self, field))) else {}
            problems |= self._impossible(dialect) or self._taken(dialect) or self._unbreakable(dialect)
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

    def _unbreakable(self, dialect: Dialect) -> dict[str, str]:
        """A breaker where messages can't wait in the broker."""
        if not (self.breaker_in_a_row or self.breaker_percent):
            return {}
        # As long as nobody has been connected a durable subscription is taken for one: a worker says if it is none.
        unknown = self.wanted.is_durable and not self.broker.is_known
        why = why_never(self.wanted.ack, "" if unknown else dialect.forgets(self.wanted))
        field = "breaker_in_a_row" if self.breaker_in_a_row else "breaker_percent"
        return {field: f"{why} So it can't have a breaker: set this to 0."} if why else {}

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
                parking=None if self.cannot_park else Parking(steps_s=steps_of(self.retry_later)),
            ),
            breaker=BreakerPolicy(
                in_a_row=self.breaker_in_a_row,
                percent=self.breaker_percent,
                probe_s=self.breaker_probe_s,
                quoting=Quoting.TYPE if self.redact or settings_now().redact else Quoting.MESSAGE,
            ),
            dead_letter_destination=self.dead_letter_destination,
            correlation_id_required=self.correlation_id_required,
            durable=self.durable,
            exclusive=self.exclusive,
            client_id=self.client_id,
            subscription_id=self.subscription_id,
        )

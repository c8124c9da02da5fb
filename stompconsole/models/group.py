"""Failure groups: dead letters of one fingerprint, what people say of them, and how many there are."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from stompconsole.models.consumer import Consumer
from stompconsole.models.deadletter import DeadLetter, DeadLetterState


class Expected(models.TextChoices):
    """What becomes by itself of a failure that is expected."""

    NO = "", "not expected"
    DISCARD = "discard", "expected: discard"
    REPLAY = "replay", "expected: replay once the consumer is healthy"


class FailureGroup(models.Model):
    """Dead letters of one consumer that died of the same: see ``deadletters.fingerprints``."""

    key = models.CharField(max_length=40, unique=True, help_text="The fingerprint, as hex.")
    consumer = models.ForeignKey(Consumer, null=True, on_delete=models.SET_NULL, related_name="failure_groups")
    consumer_name = models.CharField(max_length=50)
    error_type = models.CharField(max_length=255)
    message = models.CharField(max_length=300, blank=True, help_text="Numbers and ids taken out.")
    place = models.CharField(max_length=300, blank=True, help_text="The deepest frame of the team's own code.")
    handler = models.CharField(max_length=500, blank=True)
    first_failed_at = models.DateTimeField()
    last_failed_at = models.DateTimeField(db_index=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    note = models.TextField(blank=True, max_length=2_000)
    # Not a URLField: that refuses host names without a dot, which trackers inside a company have.
    ticket = models.CharField(
        blank=True,
        max_length=500,
        validators=[RegexValidator(r"\Ahttps?://\S+\Z", "Give a link that begins with http:// or https://.")],
    )
    snoozed_until = models.DateTimeField(null=True, blank=True)
    expected = models.CharField(max_length=10, choices=Expected.choices, default=Expected.NO, blank=True)

    last_replay = models.ForeignKey(
        "stompconsole.Replay", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )

    letters: models.Manager[DeadLetter]
    tallies: models.Manager[LetterTally]

    class Meta:
        ordering = ["-last_failed_at", "-id"]
        permissions = [("edit_failuregroup", "Can take, note, snooze and expect failures")]

    def __str__(self) -> str:
        message = f": {self.message}" if self.message else ""
        return f"{self.error_type}{message}" + (f" in {self.place}" if self.place else "")


class LetterTally(models.Model):
    """How many dead letters share a group, an origin, a worker, a day and a state: the sum of ``count``.

    Whoever moves dead letters adds rows, some of them negative, in the same transaction; nobody changes one, so that
    nobody waits for another. They are folded now and then.
    """

    group = models.ForeignKey(FailureGroup, on_delete=models.CASCADE, related_name="tallies")
    origin = models.CharField(max_length=500, blank=True)
    worker = models.CharField(max_length=300, blank=True)
    day = models.DateField()
    state = models.CharField(max_length=10, choices=DeadLetterState.choices)
    count = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["group", "state", "count"])]

    def __str__(self) -> str:
        return f"{self.group_id} {self.state} {self.count:+}"


class GroupHour(models.Model):
    """How many died of a group in one hour: the sum of ``count``. Added to and folded as ``LetterTally`` is."""

    group = models.ForeignKey(FailureGroup, on_delete=models.CASCADE, related_name="hours")
    hour = models.DateTimeField()
    count = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["group", "hour"])]

    def __str__(self) -> str:
        return f"{self.group_id} {self.hour:%Y-%m-%d %H:00} {self.count:+}"

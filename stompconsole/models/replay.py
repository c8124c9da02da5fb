"""Replays: dead letters an operator sends again. A row that a worker carries out, and its own record."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse

from stompconsole.models.consumer import Consumer
from stompconsole.models.deadletter import DeadLetter
from stompconsole.models.group import FailureGroup
from stompconsole.models.worker import Worker


class ReplayState(models.TextChoices):
    """``waiting -> running -> done``; ``paused`` and ``cancelled`` by an operator, ``stopped`` by its stop rule.

    What is paused or stopped goes on when it is resumed.
    """

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"
    CANCELLED = "cancelled"


class Replay(models.Model):
    """One operator's decision to send a frozen set of dead letters again."""

    state = models.CharField(max_length=10, choices=ReplayState.choices, default=ReplayState.WAITING)
    selection = models.CharField(max_length=500, help_text="What was chosen, in words.")
    reason = models.CharField(max_length=200, blank=True)
    scheduled = models.BooleanField(default=False, help_text="Of retries that were parked: they go on where they were.")
    routine = models.BooleanField(default=False, help_text="Of retries that were due: nobody has asked for it.")
    consumer = models.ForeignKey(
        Consumer,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Whose retries they are, all of them.",
    )
    group = models.ForeignKey(FailureGroup, null=True, on_delete=models.SET_NULL, related_name="replays")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    total = models.PositiveIntegerField(default=0)
    unfrozen = models.JSONField(
        null=True, help_text="What was chosen and is not frozen to ids yet: filters, and as of when. None: all is."
    )
    destination = models.CharField(max_length=500, blank=True, help_text="Empty: where each came from.")
    unknown_to = models.CharField(max_length=500, blank=True, help_text="Where what has no known origin goes.")
    rate = models.FloatField(null=True, help_text="Messages a second at most.")
    canary = models.JSONField(default=list, help_text="How many are tried at first, step by step: [1, 5, 25].")
    step = models.PositiveIntegerField(default=0, help_text="Steps of the canary that came out well.")
    stop_above_percent = models.FloatField(null=True, help_text="Stops when more than this fails again.")
    stop_on_same = models.BooleanField(default=False, help_text="Stops when one fails as it did before.")
    start_at = models.DateTimeField(null=True)
    edits = models.JSONField(default=list, help_text="What is changed in each message when it is sent: operations.")
    judged_since = models.DateTimeField(null=True, help_text="When it was resumed: earlier outcomes stop it no more.")
    worker = models.ForeignKey(Worker, null=True, on_delete=models.SET_NULL, related_name="+")
    lease_until = models.DateTimeField(null=True)
    note = models.TextField(blank=True, help_text="Why it waits or stopped, in words.")

    class Meta:
        ordering = ["-created_at", "-id"]
        # Of routine ones there may be one a second: what looks for others must not read them.
        indexes = [
            models.Index(
                fields=["-created_at", "-id"], condition=models.Q(routine=False), name="stompconsole_asked_for"
            ),
            models.Index(fields=["state", "scheduled"]),
        ]

    def __str__(self) -> str:
        return f"replay {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("stompconsole:replay", args=[self.pk])


class LetterEdit(models.Model):
    """A dead letter as somebody changed it to be sent; the original stays as it was."""

    dead_letter = models.ForeignKey(DeadLetter, on_delete=models.CASCADE, related_name="edits")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)
    reason = models.CharField(max_length=200, blank=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField()
    headers_before = models.JSONField(null=True, help_text="The original's, once the edited message has died too.")
    body_before = models.BinaryField(null=True)
    sealed = models.BinaryField(null=True, help_text="What of the change was redacted, encrypted.")

    class Meta:
        ordering = ["-made_at", "-id"]

    def __str__(self) -> str:
        return f"edit {self.pk} of {self.dead_letter_id}"


class ReplayItemState(models.TextChoices):
    """``waiting -> sent -> processed | failed again``; ``skipped`` says why in its note."""

    WAITING = "waiting"
    SENT = "sent"
    PROCESSED = "processed"
    FAILED_AGAIN = "failed again"
    SKIPPED = "skipped"


class ReplayItem(models.Model):
    """One dead letter in one replay; the constraint lets it be in one active replay only."""

    # Its index is the one below that begins with it.
    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="items", db_index=False)
    dead_letter = models.ForeignKey(DeadLetter, on_delete=models.CASCADE, related_name="replay_items")
    state = models.CharField(max_length=12, choices=ReplayItemState.choices, default=ReplayItemState.WAITING)
    active = models.BooleanField(default=True, help_text="False once it was sent, skipped or cancelled.")
    note = models.TextField(blank=True)
    # No index: groups are never deleted.
    group = models.ForeignKey(
        FailureGroup,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
        help_text="What it had died of.",
    )
    edit = models.ForeignKey(LetterEdit, null=True, on_delete=models.SET_NULL, related_name="items", db_index=False)
    doubtful = models.BooleanField(default=False, help_text="May have been sent twice: a worker ended before it knew.")
    sent_at = models.DateTimeField(null=True)
    outcome_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dead_letter"], condition=models.Q(active=True), name="one_active_replay_per_dead_letter"
            ),
        ]
        # The id: the next portion of a large replay is read in its order, without sorting what is left of it.
        indexes = [
            models.Index(fields=["replay", "state", "id"]),
            # What its page tells of the few among a hundred thousand.
            models.Index(fields=["replay", "id"], condition=models.Q(doubtful=True), name="stompconsole_doubtful"),
            models.Index(fields=["replay"], condition=~models.Q(note=""), name="stompconsole_noted"),
            models.Index(fields=["edit"], condition=models.Q(edit__isnull=False), name="stompconsole_edited"),
        ]

    def __str__(self) -> str:
        return f"{self.replay_id}/{self.dead_letter_id} {self.state}"


class ReplayFlight(models.Model):
    """Items of one portion of a replay: there before the first SEND, gone once it is written down what came of them.

    What a worker that ended leaves behind may have been sent. One row in place of a change of each item.
    """

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="flights")
    item_ids = models.JSONField()
    begun_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.replay_id}: {len(self.item_ids)} in flight"

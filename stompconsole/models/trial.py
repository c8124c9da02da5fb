"""Trials: today's handler run on dead letters, with all it writes rolled back. A row that a worker carries out."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse

from stompconsole.models.deadletter import DeadLetter
from stompconsole.models.group import FailureGroup
from stompconsole.models.worker import Worker


class TrialState(models.TextChoices):
    """``waiting -> running -> done``; ``cancelled`` by an operator, or because no worker would take it."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class Trial(models.Model):
    """One operator's wish to know what the handlers of some dead letters would make of them now."""

    state = models.CharField(max_length=10, choices=TrialState.choices, default=TrialState.WAITING)
    selection = models.CharField(max_length=500, help_text="What was chosen, in words.")
    group = models.ForeignKey(FailureGroup, null=True, on_delete=models.SET_NULL, related_name="trials")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    total = models.PositiveIntegerField(default=0)
    worker = models.ForeignKey(Worker, null=True, on_delete=models.SET_NULL, related_name="+")
    lease_until = models.DateTimeField(null=True)
    note = models.TextField(blank=True, help_text="Why it was cancelled, in words.")

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"trial {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("stompconsole:trial", args=[self.pk])


class TrialItemState(models.TextChoices):
    """``waiting -> passed | failed | timed out | skipped``; ``skipped``: it can't be tried, and its notes say why."""

    WAITING = "waiting"
    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    SKIPPED = "skipped"


class TrialItem(models.Model):
    """One dead letter in one trial, and what came of it."""

    trial = models.ForeignKey(Trial, on_delete=models.CASCADE, related_name="items")
    dead_letter = models.ForeignKey(DeadLetter, on_delete=models.CASCADE, related_name="trial_items")
    state = models.CharField(max_length=10, choices=TrialItemState.choices, default=TrialItemState.WAITING)
    begun = models.PositiveSmallIntegerField(default=0, help_text="How often a worker has begun to try it.")
    seconds = models.FloatField(null=True, help_text="How long the handler took.")
    error_type = models.CharField(max_length=255, blank=True)
    error_message = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    fingerprint = models.CharField(max_length=40, blank=True, help_text="What failures of one kind share.")
    same_as_before = models.BooleanField(default=False, help_text="It failed as it had died.")
    notes = models.JSONField(default=list, help_text="What was held back, and what else is to be known.")
    output = models.TextField(blank=True, help_text="What the handler printed and logged.")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["trial", "state", "id"])]

    def __str__(self) -> str:
        return f"{self.trial_id}/{self.dead_letter_id} {self.state}"

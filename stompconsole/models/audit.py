"""Audit: who did what, when. Append-only; written through one function (``audit.record``)."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.db import models

from stompconsole.models.consumer import Consumer

APPEND_ONLY = "The audit is append-only: no entry is changed or deleted."


class _Entries(models.QuerySet["AuditEntry"]):
    """Entries to be read and added. A user or consumer that is deleted is still taken out of them: Django does that by
    another way, and their names stay."""

    def update(self, **_fields: Any) -> int:
        raise TypeError(APPEND_ONLY)

    def delete(self) -> NoReturn:
        raise TypeError(APPEND_ONLY)


class AuditEntry(models.Model):
    """One act of an operator, or one event of a consumer worth reading next morning."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_name = models.CharField(max_length=150, help_text="Kept when the user is deleted; of an event, the worker.")
    action = models.CharField(max_length=40, db_index=True)
    consumer = models.ForeignKey(Consumer, null=True, on_delete=models.SET_NULL, related_name="+")
    target = models.CharField(max_length=300, help_text="What it was done to, in words.")
    detail = models.TextField(blank=True)
    data: models.JSONField[Any, Any] = models.JSONField(default=dict)
    remote_address = models.GenericIPAddressField(null=True)

    objects = _Entries.as_manager()

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor_name} {self.action} {self.target}"

    def save(self, **options: Any) -> None:
        if not self._state.adding:
            raise TypeError(APPEND_ONLY)
        super().save(**options)

    def delete(self, using: Any = None, keep_parents: bool = False) -> NoReturn:  # noqa: FBT001, FBT002 - Django's
        raise TypeError(APPEND_ONLY)

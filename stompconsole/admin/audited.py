"""Every save and delete in the admin leaves an audit entry: who, what, from where, which fields, never a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.models import Consumer
from stompconsole.models.secrets import EncryptedCharField

Changes = Mapping[str, tuple[str, str] | None]
"""Old and new value by field name; None for a secret, of which only the fact is told."""


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A ModelAdmin whose writes are audited under three words of the audit's vocabulary."""

    added: ClassVar[Action]
    changed: ClassVar[Action]
    deleted: ClassVar[Action]
    unaudited: ClassVar[frozenset[str]] = frozenset({"created_at", "updated_at"})
    """Fields whose changes need no telling."""

    def save_model(self, request: HttpRequest, obj: Model, form: ModelForm[Any], change: bool) -> None:  # noqa: FBT001
        before = self.model.objects.filter(pk=obj.pk).first() if change else None
        super().save_model(request, obj, form, change)
        if before is None:
            self.note(request, self.added, obj)
        elif made := changes(before, obj, self.unaudited):
            self.note(request, self.changed, obj, made)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        self.note(request, self.deleted, obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for obj in queryset:
            self.note(request, self.deleted, obj)
        super().delete_queryset(request, queryset)

    def note(self, request: HttpRequest, action: Action, obj: Model, made: Changes | None = None) -> None:
        """Write one entry about a row."""
        audit.record(
            action,
            f"{self.opts.verbose_name} {obj}",
            actor=request.user,
            consumer=obj if isinstance(obj, Consumer) and action is not self.deleted else None,
            detail=in_words(made or {}),
            data={"changed": sorted(made)} if made else {},
            remote_address=request.META.get("REMOTE_ADDR"),
        )


def changes(before: Model, after: Model, unaudited: frozenset[str]) -> Changes:
    """What differs between two states of a row."""
    found: dict[str, tuple[str, str] | None] = {}
    for field in after._meta.concrete_fields:  # noqa: SLF001 - Django documents it
        old, new = getattr(before, field.attname), getattr(after, field.attname)
        if field.name in unaudited or old == new:
            continue
        secret = isinstance(field, EncryptedCharField)
        found[field.name] = None if secret else (_shown(before, field.name), _shown(after, field.name))
    return found


def in_words(made: Changes) -> str:
    """The changes as one line each."""
    return "\n".join(
        f"{name}: changed" if pair is None else f"{name}: {pair[0]} -> {pair[1]}" for name, pair in made.items()
    )


def _shown(row: Model, name: str) -> str:
    value = getattr(row, name)
    return "(empty)" if value is None or value == "" else str(value)

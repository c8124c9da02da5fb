"""The audit in the admin: to be read and searched, never written."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from stompconsole.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Read-only for everybody, superusers included."""

    list_display = ("at", "actor_name", "action", "target", "consumer", "remote_address")
    list_filter = ("action", "at")
    search_fields = ("target", "actor_name", "detail")
    list_select_related = ("consumer",)
    date_hierarchy = "at"
    fields = ("at", "actor_name", "action", "target", "consumer", "detail", "data", "remote_address")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

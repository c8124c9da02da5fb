"""The audit can be read in the admin and by nobody be written; what is the console's is not in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.test import Client
from django.urls import reverse

from stompconsole import audit
from stompconsole.models import AuditEntry

LIST = reverse("admin:stompconsole_auditentry_changelist")


def test_entries_can_be_read_searched_and_not_written(admin_client: Client) -> None:
    entry = audit.record("x", "<b>target</b>", actor=None, actor_name="worker-1")
    change = reverse("admin:stompconsole_auditentry_change", args=[entry.pk])
    for url in (LIST, f"{LIST}?q=worker", f"{LIST}?action=x", change):
        page = admin_client.get(url)
        assert page.status_code == 200
        assert b"<b>target</b>" not in page.content
    assert admin_client.get(reverse("admin:stompconsole_auditentry_add")).status_code == 403
    assert admin_client.post(change, {"action": "y"}).status_code == 403
    assert admin_client.post(reverse("admin:stompconsole_auditentry_delete", args=[entry.pk])).status_code == 403
    admin_client.post(LIST, {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"})
    assert AuditEntry.objects.get().action == "x"


def test_only_definitions_and_the_audit_are_in_the_admin() -> None:
    ours = {model.__name__ for model in admin.site._registry if model._meta.app_label == "stompconsole"}
    assert ours == {"Broker", "Consumer", "AuditEntry"}

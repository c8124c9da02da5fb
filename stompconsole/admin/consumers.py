"""Consumers in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html

from stompconsole.admin import advice, leftovers
from stompconsole.admin.audited import AuditedAdmin
from stompconsole.admin.consumer_form import ConsumerForm, initial_from_settings
from stompconsole.admin.leftovers import Kept
from stompconsole.admin.links import console
from stompconsole.audit import Action
from stompconsole.conf import settings_now
from stompconsole.metrics import queries
from stompconsole.metrics.series import Window
from stompconsole.metrics.spans import Span
from stompconsole.metrics.standing import Verdict
from stompconsole.models import Consumer, DeadLetter

PAUSED = (
    "A paused consumer takes no messages. They wait in the broker; those of a topic do if the subscription is durable."
)
BREAKER = (
    "A handler that calls something else fails with every message while that is down. With a breaker its subscription"
    " then pauses itself, and the messages wait in the broker; it tries one from time to time, and goes on by itself"
    " when that is handled. 5 in a row, or 50 %, are a good start. 0 is never."
)
RARE = ("exclusive", "subscription_id")

Fieldsets = list[tuple[str | None, dict[str, Any]]]


class ConsumerList(ChangeList):
    """The list, each row with how it stands: read once for all rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        standing = verdicts()
        rows = list(self.result_list)
        for row in rows:
            row.verdict = standing.get(row.pk)
        self.result_list = rows


@admin.register(Consumer)
class ConsumerAdmin(AuditedAdmin):
    """What should run. A save is all it takes: workers see it within a second."""

    added: ClassVar[Action] = Action.CONSUMER_ADDED
    changed: ClassVar[Action] = Action.CONSUMER_CHANGED
    deleted: ClassVar[Action] = Action.CONSUMER_DELETED
    unaudited: ClassVar[frozenset[str]] = AuditedAdmin.unaudited | {
        "paused",
        "paused_by",
        "paused_at",
        "breaker_tried_at",
    }

    form = ConsumerForm
    list_display = ("name", "state", "broker", "destination", "short_handler")
    list_filter = ("paused", "broker", "ack_mode")
    list_select_related = ("broker",)
    search_fields = ("name", "destination", "dead_letter_destination", "handler", "broker__name")
    readonly_fields = ("state", "paused_by", "paused_at")
    save_on_top = True
    save_as = True
    actions = ("pause", "resume")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConsumerList

    def get_fieldsets(self, request: HttpRequest, obj: Consumer | None = None) -> Fieldsets:  # type: ignore[override]
        handler = (
            ["handler", "handler_path"] if settings_now().handlers and _may_edit(self, request, obj) else ["handler"]
        )
        paused = ["paused", "paused_reason", *(["paused_by", "paused_at"] if obj and obj.paused else [])]
        return [
            (None, {"fields": [*(["state"] if obj else []), "name", "broker", "destination", *handler]}),
            (
                "Topic",
                {
                    "fields": ["durable", "client_id"],
                    "description": "For a destination /topic/… only. A queue keeps its messages anyway.",
                },
            ),
            (
                "Paused",
                {"fields": paused, "description": PAUSED},
            ),
            (
                "How much at once",
                {
                    "fields": ["instances", "concurrency", "prefetch", "ack_mode"],
                    "description": "Prefetch should be a few times the concurrency, so that no handler thread waits.",
                },
            ),
            ("Messages", {"fields": ["codec", "correlation_id_required"]}),
            (
                "When a handler fails",
                {
                    "fields": [
                        "max_attempts",
                        ("retry_first_delay_s", "retry_factor", "retry_max_delay_s"),
                        "retry_later",
                    ]
                },
            ),
            (
                "When what it needs is down",
                {"fields": [("breaker_in_a_row", "breaker_percent", "breaker_probe_s")], "description": BREAKER},
            ),
            (
                "Dead letters",
                {
                    "fields": [
                        "dead_letter_destination",
                        "capture",
                        ("keep_days", "keep_count", "keep_bytes"),
                        "redact",
                        "store_body",
                    ]
                },
            ),
            (
                "Rarely needed",
                {
                    "fields": list(RARE),
                    "classes": [] if _any_set(RARE, obj) else ["collapse"],
                },
            ),
        ]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        # A team that comes from django-stomp has said in its settings how its consumers are.
        return {**initial_from_settings(), **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:  # noqa: FBT001
        turned = "paused" in form.changed_data
        if turned and obj.paused:
            obj.mark_paused(request.user, obj.paused_reason)
        elif turned:
            obj.mark_resumed()
        before = self.get_queryset(request).select_related("broker").filter(pk=obj.pk) if change else ()
        kept = leftovers.kept_for(before)
        super().save_model(request, obj, form, change)
        if turned:
            self.note(request, Action.CONSUMER_PAUSED if obj.paused else Action.CONSUMER_RESUMED, obj)
        for sentence in advice.about_consumer(obj):
            messages.warning(request, f"{obj.name}: {sentence}")
        _say(request, leftovers.left_behind(kept))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        kept = leftovers.kept_for([obj])
        with transaction.atomic():
            _hold([obj.pk])
            super().delete_model(request, obj)
        _say(request, leftovers.left_behind(kept))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        kept = leftovers.kept_for(queryset.select_related("broker"))
        with transaction.atomic():
            _hold(queryset.values_list("pk", flat=True))
            super().delete_queryset(request, queryset)
        _say(request, leftovers.left_behind(kept))

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[Any], list[Any]]:
        # The default lists every row that goes too: of throughput there are thousands.
        rows = list(objs)
        dead = DeadLetter.objects.filter(consumer__in=rows).count()
        told: list[Any] = [f"Consumer: {row.name}, with its figures" for row in rows]
        told += [f"{dead:,} dead letter{'s are' if dead > 1 else ' is'} kept"] if dead else []
        told += [f"{each.consumer}: {each.words}" for each in leftovers.left_without(rows)]
        lacking = set() if self.has_delete_permission(request) else {self.opts.verbose_name}
        return told, {"consumers": len(rows)}, lacking, []

    def view_on_site(self, obj: Consumer) -> str | None:
        return console("consumer", obj.name)

    @admin.display(description="state")
    def state(self, consumer: Consumer) -> str:
        verdict = getattr(consumer, "verdict", None) or verdicts().get(consumer.pk)
        return in_words(verdict) if verdict else "-"

    @admin.display(description="handler", ordering="handler")
    def short_handler(self, consumer: Consumer) -> str:
        return format_html('<span title="{}">{}</span>', consumer.handler, ".".join(consumer.handler.split(".")[-2:]))

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the user may pause and resume; asked by the actions."""
        return request.user.has_perm("stompconsole.operate_consumer")

    @admin.action(description="Pause the selected consumers", permissions=["operate"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Consumer]) -> None:
        """Pause what runs; what is paused keeps who paused it."""
        for consumer in queryset.filter(paused=False):
            consumer.mark_paused(request.user)  # type: ignore[arg-type]
            self._turned(request, consumer, Action.CONSUMER_PAUSED)

    @admin.action(description="Resume the selected consumers", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Consumer]) -> None:
        """Resume what is paused."""
        for consumer in queryset.filter(paused=True):
            consumer.mark_resumed()
            self._turned(request, consumer, Action.CONSUMER_RESUMED)

    def _turned(self, request: HttpRequest, consumer: Consumer, action: Action) -> None:
        consumer.save()
        self.note(request, action, consumer)
        messages.success(request, f"{consumer.name}: {action}")


def _hold(ids: Iterable[int]) -> None:
    """Keep workers from writing rows of these consumers until the transaction ends."""
    # Else PostgreSQL refuses the deletion when a worker adds a row in between, or ends it as a deadlock.
    list(Consumer.objects.filter(pk__in=list(ids)).order_by("pk").select_for_update())


def _any_set(fields: Iterable[str], consumer: Consumer | None) -> bool:
    if consumer is not None:
        return any(getattr(consumer, field) for field in fields)
    initial = initial_from_settings()
    return any(initial.get(field) for field in fields)


def _say(request: HttpRequest, kept: Iterable[Kept]) -> None:
    for each in kept:
        messages.warning(request, f"{each.consumer}: {each.words}")


def verdicts() -> dict[int, Verdict]:
    """How each consumer stands, by id."""
    return {line.id: line.verdict for line in queries.live(Window(Span.MINUTE)).consumers}


def in_words(verdict: Verdict) -> str:
    """A verdict as one line: ``running 2/2``, ``broken 0/1: handler …``."""
    counts = f" {verdict.actual}/{verdict.wanted}" if verdict.wanted else ""
    return f"{verdict.standing}{counts}" + (f": {verdict.reason}" if verdict.reason else "")


def _may_edit(model_admin: ConsumerAdmin, request: HttpRequest, consumer: Consumer | None) -> bool:
    if consumer is None:
        return model_admin.has_add_permission(request)
    return model_admin.has_change_permission(request, consumer)

"""Brokers in the admin."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_post_parameters

from stompconsole.admin import advice
from stompconsole.admin.audited import AuditedAdmin
from stompconsole.admin.links import console
from stompconsole.audit import Action
from stompconsole.models import Broker
from stompconsole.models.default_broker import SETTING_OF, kept_by_settings

Fieldsets = list[tuple[str | None, dict[str, Any]]]

HEARTBEATS = (
    "A connection on which nothing is heard is taken for dead after about twice this time and opened anew."
    " 0 switches it off."
)
DEAD_LETTERS = (
    "What becomes of a message that is given up on. send: it is sent to the dead-letter destination with the failure"
    " in its headers, then acknowledged. nack: it is handed back to the broker, which means something else on each. "
)

MANAGEMENT = (
    "How many messages wait, and since when, is asked of the broker. RabbitMQ tells it here alone. ActiveMQ (with its"
    " statistics plugin) and Artemis tell it over STOMP as well: there this may stay empty."
)


@admin.register(Broker)
class BrokerAdmin(AuditedAdmin):
    """Where a broker is and how to log in; a row that settings describe says so and can't be edited against them."""

    added: ClassVar[Action] = Action.BROKER_ADDED
    changed: ClassVar[Action] = Action.BROKER_CHANGED
    deleted: ClassVar[Action] = Action.BROKER_DELETED

    list_display = ("name", "address", "kind", "tls", "consumers_link")
    list_filter = ("kind", "use_tls")
    search_fields = ("name", "host", "standby_host")
    save_on_top = True

    @method_decorator(sensitive_post_parameters("password", "tls_key_password", "management_password"))
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        # An error report of this form must not carry what was typed into it.
        return super().changeform_view(request, *args, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Broker | None = None) -> Fieldsets:  # type: ignore[override]
        return [
            (None, {"fields": ["name", "kind", ("host", "port"), "vhost"], "description": _kept_note(obj)}),
            ("Log in", {"fields": ["user", "password"]}),
            (
                "Standby",
                {
                    "fields": [("standby_host", "standby_port"), ("failback", "failback_check_s")],
                    "description": "Tried when the first one can't be reached. Log-in and TLS are the same.",
                },
            ),
            (
                "TLS",
                {
                    "fields": [
                        "use_tls",
                        "tls_verify",
                        "tls_ca_certs",
                        "tls_cert_file",
                        "tls_key_file",
                        "tls_key_password",
                    ],
                    "classes": [] if obj and obj.use_tls else ["collapse"],
                },
            ),
            ("Heart-beats", {"fields": [("heartbeat_send_ms", "heartbeat_receive_ms")], "description": HEARTBEATS}),
            (
                "Dead letters",
                {"fields": ["dead_letter_via"], "description": DEAD_LETTERS + advice.meanings_of_nack()},
            ),
            (
                "Management",
                {
                    "fields": ["management_url", ("management_user", "management_password")],
                    "description": MANAGEMENT,
                    "classes": [] if obj and obj.management_url else ["collapse"],
                },
            ),
            (
                "Rarely needed",
                {
                    "fields": ["client_id", "connect_timeout_s", "receipt_timeout_s", "reconnect_pause_s"],
                    "classes": ["collapse"],
                },
            ),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Broker | None = None) -> list[str]:
        return list(SETTING_OF) if obj is not None and kept_by_settings(obj) else []

    def has_delete_permission(self, request: HttpRequest, obj: Broker | None = None) -> bool:
        # The next worker to start would bring it back.
        kept = obj is not None and kept_by_settings(obj)
        return not kept and super().has_delete_permission(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Broker]:
        brokers: QuerySet[Broker] = super().get_queryset(request)
        return brokers.annotate(consumer_count=Count("consumers"))

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:  # noqa: FBT001
        super().save_model(request, obj, form, change)
        for sentence in advice.about_broker(obj):
            messages.warning(request, f"{obj.name}: {sentence}")

    def view_on_site(self, obj: Broker) -> str | None:
        return console("overview")

    @admin.display(description="address", ordering="host")
    def address(self, broker: Broker) -> str:
        standby = f", then {broker.standby_host}:{broker.standby_port}" if broker.standby_host else ""
        return f"{broker.host}:{broker.port}{standby}"

    @admin.display(description="TLS", boolean=True, ordering="use_tls")
    def tls(self, broker: Broker) -> bool:
        return broker.use_tls

    @admin.display(description="consumers", ordering="consumer_count")
    def consumers_link(self, broker: Broker) -> str:
        query = urlencode({"broker__id__exact": broker.pk})
        url = reverse("admin:stompconsole_consumer_changelist")
        return format_html('<a href="{}?{}">{}</a>', url, query, getattr(broker, "consumer_count", 0))


def _kept_note(broker: Broker | None) -> str:
    if broker is None or not kept_by_settings(broker):
        return ""
    return (
        "This row is described by the STOMP_* settings of the project, STOMP_SERVER_HOST and the like."
        " What they decide can't be edited here: a worker that starts would set it back."
        " Change the settings, or take STOMP_SERVER_HOST out of them to make the row your own."
    )

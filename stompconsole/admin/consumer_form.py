"""The form of a consumer: its handler is chosen from the register, or typed where patterns allow it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.apps import apps
from django.utils.html import escape

from stompconsole import handlers
from stompconsole.conf import settings_now
from stompconsole.errors import HandlerNotFound
from stompconsole.handlers import RegisteredHandler
from stompconsole.models import Broker, default_broker

NOTHING_REGISTERED = (
    "No handler is registered yet: mark a function with @stompconsole.handler in the handlers.py of an installed app."
)

HELP = {
    "destination": (
        "As the broker names it. /queue/orders: each message goes to one slot."
        " /topic/prices: each message goes to everyone who has subscribed."
        " /queue/Consumer.NAME.VirtualTopic.prices: a queue of your own with a copy of what is sent to"
        " /topic/VirtualTopic.prices."
    ),
    "durable": (
        "What is sent to the topic while no worker listens, or while this consumer is paused, waits in the broker."
        " Without it only those who listen at the moment get a message."
    ),
    "client_id": (
        "The broker knows the durable subscription as this with -listener behind it; empty means the consumer's name."
        " Under a new name it begins empty, and what waits under the old one stays there."
    ),
    "exclusive": (
        "For a queue: one slot gets all messages, in order, and another takes over when it ends."
        " On RabbitMQ it makes the queue one connection's own, deleted when that ends."
    ),
    "retry_later": (
        "When all attempts have failed: waits such as 5m, 1h, 6h (s, m, h or d), one try after each, then it is dead."
        " The message leaves the worker meanwhile: the console lists it under Scheduled, where it can be sent earlier"
        " or cancelled. Empty: dead at once."
    ),
    "redact": (
        "A rule a line: a header's name such as x-token, or the path of a part of a JSON body such as $.card.number,"
        " $.items[*].secret or $..password. Dead letters are stored with a marker in its place and what was there"
        " encrypted; a replay sends them as they came. For what is stored already: manage.py deadletters redact."
    ),
    "breaker_in_a_row": "Messages that fail one after the other, each counted once however often it is tried.",
    "breaker_percent": "Of the last 50 messages; of at least 10.",
    "breaker_probe_s": "Twice as long after each that fails, up to ten minutes.",
    "subscription_id": "The id that is shown in the broker's own pages; empty means that one is made up.",
}

Choices = list[tuple[str, str | list[tuple[str, str]]]]


class ConsumerForm(forms.ModelForm):  # type: ignore[type-arg]
    """Accepts a registered handler, the one the row has already, or a path that a pattern of the settings allows."""

    class Meta:
        help_texts = HELP

    handler = forms.ChoiceField(required=False)
    handler_path = forms.CharField(required=False, max_length=500, label="or a dotted path")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patterns = settings_now().handlers
        if "handler" in self.fields:
            self._offer_handlers()
        if "handler_path" in self.fields:
            self._offer_paths()

    def _offer_handlers(self) -> None:
        field = self.fields["handler"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = handler_choices(self.instance.handler)
        field.required = not self._patterns
        # The admin renders help texts as they are, and the error of a module may say anything.
        field.help_text = escape(_said_of_handlers(handlers.failures().items()))

    def _offer_paths(self) -> None:
        if not self._patterns:
            del self.fields["handler_path"]
            return
        self.fields["handler_path"].help_text = escape(
            f"Instead of a registered one. Allowed: {', '.join(self._patterns)}"
        )

    def clean(self) -> dict[str, Any] | None:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "handler" in cleaned:
            cleaned["handler"] = self._chosen(cleaned["handler"], cleaned.get("handler_path", ""))
        return cleaned

    def _chosen(self, listed: str, typed: str) -> str:
        if typed:
            return self._typed(listed, typed)
        if not listed:
            self.add_error("handler", "Choose a handler.")
        return listed

    def _typed(self, listed: str, typed: str) -> str:
        # The list shows what the row has: a path typed beside it means to replace that.
        if listed and listed != self.instance.handler:
            self.add_error("handler_path", "Choose a registered handler or type a path, not both.")
            return listed
        try:
            handlers.resolve(typed, self._patterns)
        except HandlerNotFound as error:
            self.add_error("handler_path", str(error))
        return typed


def handler_choices(current: str) -> Choices:
    """Registered handlers grouped by app, and first of all the current one should it not be among them."""
    known = handlers.registered()
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for handler in known.values():
        groups[_app_of(handler)].append((handler.path, _label(handler)))
    first: Choices = [("", "---------")]
    if current and current not in known:
        first.append((current, f"{current} (not registered here)"))
    return first + [(app, choices) for app, choices in sorted(groups.items())]


def _app_of(handler: RegisteredHandler) -> str:
    app = apps.get_containing_app_config(handler.path)
    return str(app.verbose_name) if app else handler.path.partition(".")[0]


def _label(handler: RegisteredHandler) -> str:
    return f"{handler.path}: {handler.summary}" if handler.summary else handler.path


def _said_of_handlers(failures: Iterable[tuple[str, str]]) -> str:
    said: Sequence[str] = [
        f"{module} does not import, its handlers are missing: {error}." for module, error in failures
    ]
    return " ".join(said or ([] if handlers.registered() else [NOTHING_REGISTERED]))


def initial_from_settings() -> dict[str, Any]:
    """What a new consumer begins with where the STOMP_* settings describe a broker: as that broker's consumers were
    under django-stomp. Empty where they don't."""
    stomp = settings_now().stomp
    if stomp is None:
        return {}
    broker = Broker.objects.filter(name=default_broker.NAME).first()
    return {
        "concurrency": stomp.threads,
        "correlation_id_required": stomp.correlation_id_required,
        "durable": stomp.durable_topic_subscription,
        "client_id": stomp.listener_client_id,
        "subscription_id": stomp.subscription_id,
        "exclusive": stomp.default_exclusive_queue,
        **({"broker": broker.pk} if broker else {}),
    }

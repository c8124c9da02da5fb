"""System checks: what is wrong with settings, apps and rows, each with an id, in words, and what to do about it.

Errors stop what can't work at all. What concerns single rows is a warning, for an error would stop ``migrate``
and with it every other consumer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage, Tags, register
from django.db import DatabaseError, router

from stompconsole import conf, handlers
from stompconsole.brokers import NackMeans
from stompconsole.errors import HandlerNotFound
from stompconsole.models import Broker, Consumer, DeadLetterVia
from stompconsole.models.secrets import Undecipherable

TAG = "stompconsole"

NOT_USED = {
    "DEFAULT_STOMP_SSL_VERSION": "the newest TLS version that both sides know is used",
    "DEFAULT_STOMP_CERT_VALIDATOR": "DEFAULT_STOMP_CA_CERTS or the system's authorities decide whom to trust",
}
"""Settings of django-stomp that have no counterpart, and what happens instead."""


@register(TAG)
def check_settings(**_: Any) -> list[CheckMessage]:
    """STOMPCONSOLE and STOMP_*: unknown keys, values that can't work, settings that do nothing."""
    wrong: list[CheckMessage] = [
        checks.Error(problem, hint="Correct it in the settings of your project.", id="stompconsole.E001")
        for problem in conf.problems()
    ]
    unused = [
        checks.Warning(f"{name} is set but not used: {instead}.", hint="Take it out.", id="stompconsole.W001")
        for name, instead in NOT_USED.items()
        if getattr(django_settings, name, None)
    ]
    return wrong + unused


@register(TAG)
def check_apps(**_: Any) -> list[CheckMessage]:
    """What has to stand in INSTALLED_APPS and MIDDLEWARE, and in which order."""
    order = [app.name for app in apps.get_app_configs()]
    found: list[CheckMessage] = []
    if "channels" in order and order.index("channels") < order.index("stompconsole"):
        found.append(
            checks.Error(
                '"stompconsole" stands after "channels" in INSTALLED_APPS: runworker would be the one of Channels.',
                hint='Move "stompconsole" before "channels".',
                id="stompconsole.E002",
            )
        )
    if "django_htmx" not in order:
        found.append(
            checks.Error(
                '"django_htmx" is not in INSTALLED_APPS: the console\'s pages have no script.',
                hint='Add "django_htmx" to INSTALLED_APPS.',
                id="stompconsole.E003",
            )
        )
    if not any(name.endswith("HtmxMiddleware") for name in django_settings.MIDDLEWARE):
        found.append(
            checks.Error(
                "HtmxMiddleware is not in MIDDLEWARE: the console can't tell a page from a part of one.",
                hint='Add "django_htmx.middleware.HtmxMiddleware" to MIDDLEWARE.',
                id="stompconsole.E004",
            )
        )
    return found


@register(TAG)
def check_channel_layer(**_: Any) -> list[CheckMessage]:
    """``runworker`` wants a channel layer; it is only a wake-up, so the one in memory will do."""
    layers = getattr(django_settings, "CHANNEL_LAYERS", None) or {}
    if "default" not in layers:
        return [
            checks.Error(
                "CHANNEL_LAYERS has no default layer: runworker does not start without one.",
                hint='Add CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}.',
                id="stompconsole.E005",
            )
        ]
    backend = str(layers["default"].get("BACKEND", ""))
    package = backend.partition(".")[0]
    if package and find_spec(package) is None:
        return [
            checks.Error(
                f"The channel layer {backend} is not installed.",
                hint='For Redis: pip install "stompconsole[redis]".',
                id="stompconsole.E006",
            )
        ]
    return []


@register(TAG)
def check_handler_modules(**_: Any) -> list[CheckMessage]:
    """Modules of handlers that do not import."""
    return [
        checks.Error(
            f"{module} does not import: {error}",
            hint="Its handlers are missing until it does; consumers that need them stand still.",
            id="stompconsole.E007",
        )
        for module, error in handlers.failures().items()
    ]


@register(Tags.database)
def check_rows(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Consumers whose handler does not resolve, brokers that can't do what they are asked. Needs ``--database``."""
    if router.db_for_read(Consumer) not in (databases or ()) or conf.problems():
        return []
    try:
        return [*_of_handlers(), *_of_brokers()]
    except DatabaseError:
        # ``migrate`` runs the checks before it makes the tables.
        return []


def _of_handlers() -> Iterable[CheckMessage]:
    patterns = conf.settings_now().handlers
    for consumer in Consumer.objects.all():
        try:
            handlers.resolve(consumer.handler, patterns)
        except HandlerNotFound as error:
            yield checks.Warning(
                f"Consumer {consumer.name}: {error}",
                hint="Register the handler, or choose another one in the admin.",
                obj=consumer,
                id="stompconsole.W002",
            )


def _of_brokers() -> Iterable[CheckMessage]:
    for broker in Broker.objects.all():
        nack = broker.dialect().nack_means
        if broker.dead_letter_via == DeadLetterVia.NACK and nack in {NackMeans.REQUEUED, NackMeans.LOST}:
            yield checks.Warning(
                f"Broker {broker.name} dead-letters by NACK, and there a message that is NACKed is {nack.value}.",
                hint='Choose "send" in the admin.',
                obj=broker,
                id="stompconsole.W003",
            )
        if isinstance(broker.password, Undecipherable) or isinstance(broker.tls_key_password, Undecipherable):
            yield checks.Warning(
                f"Broker {broker.name}: a stored password can't be decrypted: no key fits.",
                hint="Put the old key into SECRET_KEY_FALLBACKS, or enter the password again in the admin.",
                obj=broker,
                id="stompconsole.W004",
            )

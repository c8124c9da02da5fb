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
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connections, router
from django.db.models import Model

from stompconsole import conf, handlers
from stompconsole.brokers import BrokerKind, NackMeans
from stompconsole.conf.stomp import WITHOUT_EFFECT
from stompconsole.errors import ConnectFailed, HandlerNotFound
from stompconsole.models import Broker, Consumer, DeadLetter, DeadLetterVia, default_broker, postgres
from stompconsole.models.names import validate_redaction
from stompconsole.models.secrets import Undecipherable
from stompconsole.transport.tls import client_context

TAG = "stompconsole"
UNVERIFIED = "the broker's certificate is not verified, and whoever is in between can read the password."


@register(TAG)
def check_settings(**_: Any) -> list[CheckMessage]:
    """STOMPCONSOLE and STOMP_*: unknown keys, values that can't work, settings that do nothing."""
    wrong: list[CheckMessage] = [
        checks.Error(problem, hint="Correct it in the settings of your project.", id="stompconsole.E001")
        for problem in conf.problems()
    ]
    return [*wrong, *_without_effect(), *_doubtful()]


def _without_effect() -> Iterable[CheckMessage]:
    for name, why in WITHOUT_EFFECT.items():
        if getattr(django_settings, name, None):
            yield checks.Warning(f"{name} has no effect: {why}", hint="Take it out.", id="stompconsole.W001")


def _doubtful() -> Iterable[CheckMessage]:
    for doubt in conf.doubts():
        yield checks.Warning(doubt, hint="Set what it needs, or take it out.", id="stompconsole.W005")


@register(TAG)
def check_tls(**_: Any) -> list[CheckMessage]:
    """TLS of the broker that the settings describe: is it verified, and can its files be read on this machine."""
    if conf.problems():
        return []
    settings = conf.settings_now()
    found: list[CheckMessage] = []
    if not settings.tls_verify:
        found.append(
            checks.Warning(
                f'STOMPCONSOLE["TLS_VERIFY"] is off: {UNVERIFIED}',
                hint="Name the authority that signed the broker's certificate in DEFAULT_STOMP_CA_CERTS instead.",
                id="stompconsole.W006",
            )
        )
    if settings.stomp is not None:
        found += _of_tls_files("The STOMP_* settings", default_broker.from_settings(settings.stomp))
    return found


def _of_tls_files(whose: str, broker: Broker) -> Iterable[CheckMessage]:
    # A warning: where the broker is not needed, as for ``migrate``, its files need not be there.
    tls = broker.spec().endpoints[0].tls
    try:
        if tls is not None:
            client_context(tls)
    except ConnectFailed as error:
        yield checks.Warning(
            f"{whose}: {error}",
            hint="The file must be there, and readable, on every machine that talks to the broker.",
            id="stompconsole.W007",
        )


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
def check_searching(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Whether text in dead letters can be searched by an index. Only for ``check --database``."""
    alias = router.db_for_read(DeadLetter)
    try:
        scans = alias in (databases or ()) and postgres.scans_text(connections[alias])
    except DatabaseError:
        return []
    if not scans:
        return []
    return [
        checks.Warning(
            "Text in dead letters is searched row by row: there is no index for it.",
            hint="Where many are searched run: manage.py deadletters index. Capturing takes longer with it.",
            id="stompconsole.W011",
        )
    ]


@register(Tags.database)
def check_rows(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Consumers whose handler does not resolve, brokers that can't do what they are asked. Needs ``--database``."""
    if router.db_for_read(Consumer) not in (databases or ()) or conf.problems():
        return []
    try:
        return [*_of_consumers(), *_of_brokers()]
    except DatabaseError:
        # ``migrate`` runs the checks before it makes the tables.
        return []


def _of_consumers() -> Iterable[CheckMessage]:
    patterns = conf.settings_now().handlers
    for consumer in Consumer.objects.select_related("broker"):
        try:
            handlers.resolve(consumer.handler, patterns)
        except HandlerNotFound as error:
            yield _about(
                consumer,
                f"Consumer {consumer.name}: {error}",
                hint="Register the handler, or choose another one in the admin.",
                number="W002",
            )
        try:
            validate_redaction(consumer.redact)
        except ValidationError as error:
            yield _about(
                consumer,
                f"Consumer {consumer.name}: {' '.join(error.messages)}",
                hint="Correct its rules in the admin: its dead letters stay in the broker until they can be redacted.",
                number="W010",
            )
        for sentence in _not_as_asked(consumer):
            yield _about(
                consumer,
                f"Consumer {consumer.name}: {sentence}",
                hint="Change the consumer in the admin, or run it on a broker that can.",
                number="W009",
            )


def _not_as_asked(consumer: Consumer) -> Iterable[str]:
    """What the broker can't do of what the row asks; one that no worker has met yet is not judged."""
    try:
        consumer.clean()
    except ValidationError as error:
        yield from error.messages
    broker = consumer.broker
    if broker.kind != BrokerKind.AUTO or broker.greeting():
        yield from broker.dialect().caveats(consumer.wanted)


def _of_brokers() -> Iterable[CheckMessage]:
    for broker in Broker.objects.all():
        nack = broker.dialect().nack_means
        if broker.dead_letter_via == DeadLetterVia.NACK and nack in {NackMeans.REQUEUED, NackMeans.LOST}:
            yield _about(
                broker,
                f"Broker {broker.name} dead-letters by NACK, and there a message that is NACKed is {nack.value}.",
                hint='Choose "send" in the admin.',
                number="W003",
            )
        if broker.use_tls and not broker.tls_verify:
            yield _about(
                broker,
                f"Broker {broker.name}: {UNVERIFIED}",
                hint="Give the CA file of the broker in the admin, and switch verification on.",
                number="W008",
            )
        if isinstance(broker.password, Undecipherable) or isinstance(broker.tls_key_password, Undecipherable):
            yield _about(
                broker,
                f"Broker {broker.name}: a stored password can't be decrypted: no key fits.",
                hint="Put the old key into SECRET_KEY_FALLBACKS, or enter the password again in the admin.",
                number="W004",
            )
        else:
            yield from _of_tls_files(f"Broker {broker.name}", broker)


def _about(row: Model, sentence: str, *, hint: str, number: str) -> CheckMessage:
    return checks.Warning(sentence, hint=hint, obj=row, id=f"stompconsole.{number}")

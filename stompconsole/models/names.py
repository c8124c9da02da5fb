"""What may be typed into fields of a definition, whatever the broker. What one broker refuses, its dialect says."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

from stompconsole.conf.redact import WrongRuleError, rules_of
from stompconsole.delivery.later import steps_of
from stompconsole.errors import ConfigurationError

PREFIXES = ("/queue/", "/topic/", "/exchange/", "/amq/queue/")
"""How destinations begin; brokers other than these names' owners may know others."""

WILDCARDS = "*>"


def validate_destination(value: str) -> None:
    """Raise ValidationError with the reason, for a name that no consumer can take messages from."""
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValidationError("It can't contain blanks or line breaks.")
    wildcard = next((character for character in WILDCARDS if character in value), "")
    if not wildcard and value.startswith("/topic/") and "#" in value:
        wildcard = "#"
    if wildcard:
        raise ValidationError(
            f"{wildcard} stands for many destinations. A consumer needs one:"
            " it is where a replayed message is sent, and its dead letters are named after it."
        )
    if not value.strip("/") or f"{value}/" in PREFIXES or value in PREFIXES:
        raise ValidationError("The name is missing: write it as /queue/orders or /topic/prices.")


def looks_usual(destination: str) -> bool:
    """Whether it begins as destinations do. Some brokers take what doesn't for a queue, typing errors too."""
    return destination.startswith(PREFIXES)


def validate_host(value: str) -> None:
    """Raise ValidationError for what can't be a host name or an address, such as a URL."""
    if "/" in value or any(character.isspace() or not character.isprintable() for character in value):
        raise ValidationError("Give the bare host name or address: no scheme, no slash, no blanks.")


def validate_http_url(value: str) -> None:
    """Raise ValidationError for what is no URL of a web server, or carries a login: that would be shown."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() or not character.isprintable() for character in value):
        raise ValidationError("Give a URL such as http://rabbit.internal:15672.")
    if parts.username or parts.query or parts.fragment:
        raise ValidationError("Only scheme, host, port and path: the login has fields of its own.")


def validate_identifier(value: str) -> None:
    """Raise ValidationError for what can't name a subscription or a subscriber on every broker."""
    if any(character.isspace() or not character.isprintable() or character in ":/" for character in value):
        raise ValidationError("It can't contain blanks, colons or slashes.")


def validate_steps(value: str) -> None:
    """Raise ValidationError for long retry steps that can't be read."""
    try:
        steps_of(value)
    except ConfigurationError as error:
        raise ValidationError(str(error)) from None


def validate_redaction(value: str) -> None:
    """Raise ValidationError for a line that is no rule of redaction."""
    try:
        rules_of(value.splitlines())
    except WrongRuleError as error:
        raise ValidationError(str(error)) from None

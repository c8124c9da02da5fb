"""The settings of a Django project that concern us, as one frozen value.

Owns ``STOMPCONSOLE`` (a dict) and the ``STOMP_*`` settings that django-stomp had: same names, meanings and
defaults. They are read on first use, not at import, and again after ``setting_changed``. Refuses unknown keys
and values that can't work: ``ConfigurationError`` names the setting, the value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from stompconsole.conf import keys, stomp
from stompconsole.conf.keys import Settings
from stompconsole.conf.reading import values_of
from stompconsole.conf.stomp import StompSettings
from stompconsole.errors import ConfigurationError

__all__ = ["STOMP_SETTING_NAMES", "Settings", "StompSettings", "doubts", "problems", "settings_now", "stomp_with"]

STOMP_SETTING_NAMES = stomp.NAMES
"""Every setting of django-stomp; the project form takes them from the environment too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What one look at the settings found. ``stomp`` is there without a host as well."""

    settings: Settings
    stomp: StompSettings
    problems: tuple[str, ...]


def settings_now() -> Settings:
    """The settings as they are now. Raises ConfigurationError that names all that is wrong with them."""
    reading = _read()
    if reading.problems:
        raise ConfigurationError("\n".join(reading.problems))
    return reading.settings


def problems() -> tuple[str, ...]:
    """What is wrong with the settings, a sentence each; empty when all is well."""
    return _read().problems


def doubts() -> tuple[str, ...]:
    """What in the settings works, but hardly as it was meant; a sentence each."""
    return tuple(stomp.doubts(_read().stomp))


def stomp_with(environment: Mapping[str, str]) -> StompSettings:
    """The STOMP_* settings as a process has them that is started with these variables besides; others are ignored.

    The host may be missing. Raises ConfigurationError that names all that is wrong.
    """
    wrong: list[str] = []
    given = {**_given(), **{name: value for name, value in environment.items() if name in stomp.NAMES}}
    found = StompSettings(**values_of(stomp.SETTINGS, given, wrong))
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    return replace(found, tls_verify=_read().settings.tls_verify)


@cache
def _read() -> _Reading:
    wrong: list[str] = []
    ours = _read_ours(wrong)
    theirs = StompSettings(**values_of(stomp.SETTINGS, _given(), wrong))
    theirs = replace(theirs, tls_verify=ours.tls_verify)
    settings = replace(ours, graceful_wait_s=theirs.graceful_wait_s, stomp=theirs if theirs.host else None)
    wrong += [*keys.clashes(settings), *stomp.clashes(theirs)]
    return _Reading(settings=settings, stomp=theirs, problems=tuple(wrong))


def _read_ours(wrong: list[str]) -> Settings:
    given = getattr(django_settings, "STOMPCONSOLE", None) or {}
    if not isinstance(given, Mapping):
        wrong.append(f"STOMPCONSOLE is {given!r}; it must be a dict.")
        return Settings()
    values = values_of(keys.SETTINGS, given, wrong, shown_as='STOMPCONSOLE["{}"]')
    wrong += [keys.unknown(str(key)) for key in given if key not in keys.NAMES]
    return Settings(**values)


def _given() -> dict[str, Any]:
    return {name: getattr(django_settings, name) for name in stomp.NAMES if hasattr(django_settings, name)}


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "STOMPCONSOLE" or setting in stomp.NAMES:
        _read.cache_clear()


setting_changed.connect(_forget, dispatch_uid="stompconsole.conf")

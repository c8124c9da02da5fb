"""Secrets at rest: text that is encrypted in the database and never shown.

``EncryptedCharField`` holds a Fernet token in a text column. Its value on a row is a ``Secret``: it compares as
the text it is, but prints as asterisks; ``reveal()`` gives the plain text. Serializers and ``model_to_dict`` get no
plain text. Refuses lookups: a query would compare ciphertext.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django import forms
from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from stompconsole.conf import settings_now
from stompconsole.errors import ConfigurationError
from stompconsole.models.secret_input import MAX_LENGTH, SEALED, SET, UNREADABLE, SecretFormField, SecretInput

MASK = "********"


class Secret:
    """Text that does not print: logs, templates and tracebacks show asterisks.

    Not a ``str``: whatever renders text may take the shortest way to it, past ``__str__``.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The plain text. Raises ConfigurationError when no key fits."""
        return self._text

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Secret):
            return self._text == other._text
        return self._text == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __str__(self) -> str:
        return MASK if self._text else ""

    def __repr__(self) -> str:
        return repr(str(self))


class Undecipherable(Secret):
    """A stored secret that no key fits. It counts as empty and is written back as it was found."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        super().__init__("")
        self.token = token

    def reveal(self) -> str:
        raise ConfigurationError(
            "a stored password can't be decrypted: no key fits. Put the old key into SECRET_KEY_FALLBACKS"
            " or STOMPCONSOLE['SECRET_KEYS'], or enter the password again."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Undecipherable) and self.token == other.token

    def __hash__(self) -> int:
        return hash(self.token)

    def __str__(self) -> str:
        return "can't be decrypted: no key fits"


def encrypt(text: str) -> str:
    """A Fernet token of the text, made with the first key."""
    return _fernet().encrypt(text.encode()).decode()


def decrypt(token: str) -> Secret:
    """The text of a token; ``Undecipherable`` when no key fits."""
    try:
        return Secret(_fernet().decrypt(token.encode()).decode())
    except InvalidToken:
        return Undecipherable(token)


def encrypt_bytes(data: bytes) -> bytes:
    """A Fernet token of any bytes, made with the first key."""
    return _fernet().encrypt(data)


def decrypt_bytes(token: bytes) -> bytes:
    """What a token of ``encrypt_bytes`` holds. Raises ConfigurationError when no key fits."""
    try:
        return _fernet().decrypt(token)
    except InvalidToken:
        raise ConfigurationError(
            "what was redacted can't be decrypted: no key fits. Put the old key into SECRET_KEY_FALLBACKS or"
            " STOMPCONSOLE['SECRET_KEYS']."
        ) from None


@cache
def _fernet() -> MultiFernet:
    """Own keys first; those derived from SECRET_KEY stay readable, so that adding own keys locks nobody out."""
    derived = [_derived(secret) for secret in (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)]
    keys: list[str | bytes] = [*settings_now().secret_keys, *derived]
    return MultiFernet([Fernet(key) for key in keys])


def _derived(secret: str | bytes) -> bytes:
    material = secret if isinstance(secret, bytes) else secret.encode()
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"stompconsole.models.secrets")
    return base64.urlsafe_b64encode(hkdf.derive(material))


def _forget(*, setting: str, **_: Any) -> None:
    if setting in {"STOMPCONSOLE", "SECRET_KEY", "SECRET_KEY_FALLBACKS"}:
        _fernet.cache_clear()


setting_changed.connect(_forget, dispatch_uid="stompconsole.models.secrets")


class _Wrapping(DeferredAttribute):
    """Makes a Secret of whatever text is put into the attribute, so that a row never holds it bare."""

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = Secret(value) if isinstance(value, str) else value


class EncryptedCharField(models.TextField):  # type: ignore[type-arg]
    """One line of text, encrypted in its column, write-only in forms. Its value on a row is a ``Secret``."""

    descriptor_class = _Wrapping

    if TYPE_CHECKING:
        _pyi_private_set_type: Secret | str  # type: ignore[assignment]
        _pyi_private_get_type: Secret  # type: ignore[assignment]

    def from_db_value(self, value: str | None, *_: Any) -> Secret:
        return decrypt(value) if value else Secret("")

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith(SEALED):
            return decrypt(value.removeprefix(SEALED))
        return value if isinstance(value, Secret) else super().to_python(value)

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, Undecipherable):
            return value.token
        text = value.reveal() if isinstance(value, Secret) else value
        return encrypt(text) if text else text

    def value_from_object(self, obj: models.Model) -> str:
        """What forms and ``model_to_dict`` see of it: whether there is one, never which."""
        secret = getattr(obj, self.attname)
        if isinstance(secret, Undecipherable):
            return UNREADABLE
        return SET if secret else ""

    def value_to_string(self, obj: models.Model) -> str:
        """The ciphertext, as serializers and ``dumpdata`` put it down."""
        sealed = self.get_prep_value(getattr(obj, self.attname))
        return SEALED + sealed if sealed else ""

    def get_lookup(self, lookup_name: str) -> Any:
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None

    def formfield(self, **kwargs: Any) -> forms.Field | None:
        # Whatever widget a form would like, such as the admin's text area: this value is not to be rendered.
        fixed = {"form_class": SecretFormField, "widget": SecretInput, "max_length": MAX_LENGTH}
        return super().formfield(**{**kwargs, **fixed})

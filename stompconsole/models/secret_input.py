"""The form side of a secret: write-only. Empty keeps what is stored; a tick clears it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString

MAX_LENGTH = 1_000
SEALED = "fernet:"
"""Begins a value that is encrypted already, as fixtures have it: nobody may type one."""

SET = "set"
UNREADABLE = "can't be decrypted"
"""What a form may know of a stored secret; empty when there is none."""


class _Clear:
    """What the widget hands over when the box *clear* is ticked; ``both`` when something was typed as well."""

    def __init__(self, *, both: bool) -> None:
        self.both: Final = both


class SecretInput(forms.PasswordInput):
    """A password input that never renders a value, with what is stored said beside it: SET, UNREADABLE or nothing."""

    stored = ""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"autocomplete": "new-password", "class": "vTextField", **(attrs or {})}, render_value=False)

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        entry = super().render(name, None, attrs, renderer)
        if not self.stored:
            return format_html("<span>{} <small>Not set.</small></span>", entry)
        said = "Set. Leave it empty to keep it." if self.stored == SET else "Can't be decrypted: enter it again."
        return format_html(
            '<span>{0} <small>{1} <input type="checkbox" name="{2}" aria-label="Clear"> Clear</small></span>',
            entry,
            said,
            _clear_name(name),
        )

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        typed = super().value_from_datadict(data, files, name)
        return _Clear(both=bool(typed)) if data.get(_clear_name(name)) else typed

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        # What counts as omitted is left as it is on the row.
        return not data.get(name) and not data.get(_clear_name(name))


class SecretFormField(forms.CharField):
    """Text for a secret; not stripped, for a space may belong to a password."""

    widget = SecretInput

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"strip": False, **kwargs})

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> forms.BoundField:
        assert isinstance(self.widget, SecretInput)
        self.widget.stored = form.get_initial_for_field(self, field_name) or ""
        return super().get_bound_field(form, field_name)

    def clean(self, value: Any) -> Any:
        if not isinstance(value, _Clear):
            return super().clean(value)
        if value.both:
            raise forms.ValidationError("Either enter a new one or clear the old one, not both.")
        return ""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return not self.disabled and (isinstance(data, _Clear) or bool(data))

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        if text.startswith(SEALED) or any(character in text for character in "\n\r\0"):
            raise forms.ValidationError(f"It must be on one line and can't begin with {SEALED}")
        return text


def _clear_name(name: str) -> str:
    return f"{name}-clear"

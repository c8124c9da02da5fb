"""Ways out of the console: into the admin, to the log-in page, back to where a form came from."""

from __future__ import annotations

from django.conf import global_settings, settings
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse
from django.utils.http import url_has_allowed_host_and_scheme


def definitions_url(model: str = "", pk: int | None = None) -> str:
    """The admin's list of a model (or one row of it, or the app's index); "" where no admin is mounted."""
    try:
        if not model:
            return reverse("admin:app_list", args=["stompconsole"])
        if pk is None:
            return reverse(f"admin:stompconsole_{model}_changelist")
        return reverse(f"admin:stompconsole_{model}_change", args=[pk])
    except NoReverseMatch:
        return ""


def add_url(model: str) -> str:
    """The admin's form for a new row; "" where no admin is mounted."""
    try:
        return reverse(f"admin:stompconsole_{model}_add")
    except NoReverseMatch:
        return ""


def login_url() -> str:
    """The host project's log-in page if it has set one, else the admin's."""
    if settings.LOGIN_URL != global_settings.LOGIN_URL:
        return resolve_url(settings.LOGIN_URL)
    try:
        return reverse("admin:login")
    except NoReverseMatch:
        return resolve_url(settings.LOGIN_URL)


def logout_url() -> str:
    """Where logging out is posted to; "" where nothing is mounted for it."""
    for name in ("logout", "admin:logout"):
        try:
            return reverse(name)
        except NoReverseMatch:
            continue
    return ""


def back(request: HttpRequest, default: str) -> str:
    """Where a form asks to return to, if that is a page of this host; else ``default``."""
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
        return wanted
    return default

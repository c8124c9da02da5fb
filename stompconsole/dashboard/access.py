"""Who may see and do what. Every view but the probes goes through ``console_view``; a refusal says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

from stompconsole.dashboard import shell
from stompconsole.dashboard.links import login_url

if TYPE_CHECKING:
    from django.contrib.auth.models import User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]

SEE = "stompconsole.view_console"
OPERATE = "stompconsole.operate_consumer"
REPLAY = "stompconsole.replay_deadletter"
DISCARD = "stompconsole.discard_deadletter"
EDIT = "stompconsole.edit_deadletter"
TRY = "stompconsole.try_deadletter"
TEND = "stompconsole.edit_failuregroup"


def console_view(*permissions: str) -> Callable[[View[P]], View[P]]:
    """Log-in, the view permission and ``permissions`` come first; what is not found is said in our shell."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path(), login_url())
            lacking = [name for name in (SEE, *permissions) if not request.user.has_perm(name)]
            if lacking:
                return shell.refused(request, lacking[0])
            try:
                return view(request, *args, **kwargs)
            except Http404 as missing:
                return shell.unknown(request, str(missing))

        return guarded

    return decorate


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who acts, as the audit wants to know it."""

    user: User
    remote_address: str | None


def operator(request: HttpRequest) -> Operator:
    """The operator behind a request; the address is None where the server knows none."""
    user = request.user
    assert user.is_authenticated  # console_view has seen to it
    return Operator(user=user, remote_address=request.META.get("REMOTE_ADDR") or None)

"""Asking a management API: one client for each time, under time limits, and what went wrong in words.

Owns the limits and the words. Never follows a redirect: the login goes where the row says and nowhere else.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence

import httpx

from stompconsole.brokers.depths.depth import Depth, Management, OverHttp, unknown

LIMIT_S = 5.0
"""For each step of a request: connecting, writing, reading on."""


def ask(place: Management, read: OverHttp, destinations: Sequence[str]) -> dict[str, Depth]:
    """The depth of each destination, or why it is not known. Raises nothing that a network can do."""
    try:
        with _client(place) as http:
            found: Mapping[str, Depth] = read(http, place, destinations)
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError, ValueError) as error:
        return dict.fromkeys(destinations, unknown(_in_words(place, error)))
    silent = unknown(f"{place.url} says nothing of it")
    return {destination: found.get(destination, silent) for destination in destinations}


def _client(place: Management) -> httpx.Client:
    return httpx.Client(
        base_url=place.url.rstrip("/"),
        auth=(place.user, place.password) if place.user else None,
        timeout=LIMIT_S,
        verify=_trust(place),
        follow_redirects=False,
        # A proxy of the environment leads out; brokers are inside.
        trust_env=False,
    )


def _trust(place: Management) -> ssl.SSLContext | bool:
    if not place.verify:
        return False
    return ssl.create_default_context(cafile=place.ca_certs or None)


def _in_words(place: Management, error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            return f"{place.url} refuses the login of {place.user or 'nobody'} ({status}): it may not look there"
        return f"{place.url} answers {status} to {error.request.url.path}: is it the broker's management URL?"
    if isinstance(error, httpx.TimeoutException):
        return f"{place.url} did not answer in {LIMIT_S:g} s"
    if isinstance(error, httpx.HTTPError | OSError | httpx.InvalidURL):
        return f"{place.url} can't be reached: {error or type(error).__name__}"
    return f"{place.url} gives no answer that can be read: is it the broker's management URL?"

"""What to change when a broker can't be reached, understood, trusted, or says no: the one place for those words.

Owns the names under which operators know what they can change: the field of the broker's row and, for the broker
``default``, the setting that decides it. Knows no Django; a test holds the names to the models. Refuses to guess
what nothing on the wire says.
"""

from __future__ import annotations

import enum
import re
import ssl

from stompconsole.transport.session import Endpoint, Place


class Field(enum.Enum):
    """A field of a broker: its label in the form, and the setting that decides it for the broker ``default``."""

    HOST = ("host", "STOMP_SERVER_HOST")
    PORT = ("port", "STOMP_SERVER_PORT")
    STANDBY_HOST = ("standby host", "STOMP_SERVER_STANDBY_HOST")
    STANDBY_PORT = ("standby port", "STOMP_SERVER_STANDBY_PORT")
    VHOST = ("virtual host", "STOMP_SERVER_VHOST")
    USER = ("user", "STOMP_SERVER_USER")
    PASSWORD = ("password", "STOMP_SERVER_PASSWORD")
    CLIENT_ID = ("client id", "")
    TLS = ("TLS", "STOMP_USE_SSL")
    CA_FILE = ("CA file", "DEFAULT_STOMP_CA_CERTS")
    CERT_FILE = ("client certificate file", "DEFAULT_STOMP_CERT_FILE")
    KEY_FILE = ("client key file", "DEFAULT_STOMP_KEY_FILE")
    KEY_PASSWORD = ("client key password", "DEFAULT_STOMP_SSL_PASSWORD")

    def __str__(self) -> str:
        label, setting = self.value
        return f'"{label}" ({setting})' if setting else f'"{label}"'


def _host(endpoint: Endpoint) -> Field:
    return Field.HOST if endpoint.place is Place.PRIMARY else Field.STANDBY_HOST


def _port(endpoint: Endpoint) -> Field:
    return Field.PORT if endpoint.place is Place.PRIMARY else Field.STANDBY_PORT


def unresolved(endpoint: Endpoint, why: object) -> str:
    """The host name leads to no address."""
    return (
        f"can't reach {endpoint}: the host name {endpoint.host} does not resolve: {why}. "
        f"Is {_host(endpoint)} right, and does this machine's name service know it?"
    )


def unreachable(endpoint: Endpoint, why: object) -> str:
    """No TCP connection."""
    return (
        f"can't reach {endpoint}: {why}. "
        f"Does the broker run there, and are {_host(endpoint)} and {_port(endpoint)} right?"
    )


def unanswered(endpoint: Endpoint, limit_s: float) -> str:
    """A connection on which CONNECT was not answered."""
    return f"{endpoint} accepts connections but did not answer CONNECT in {limit_s:g} s: {_is_it_the_door(endpoint)}"


def shut(endpoint: Endpoint, trouble: str) -> str:
    """A connection that ended instead of an answer to CONNECT."""
    because = f" ({trouble})" if trouble else ""
    return (
        f"{endpoint} closed the connection at CONNECT{because}: "
        f"{_client_certificate(trouble) or _is_it_the_door(endpoint)}"
    )


def _is_it_the_door(endpoint: Endpoint) -> str:
    return f"is it a STOMP port, and plain or TLS as configured? Look at {_port(endpoint)} and {Field.TLS}"


def is_stomp(greeting: bytes) -> bool:
    """Whether the first bytes of an answer to CONNECT may be those of STOMP."""
    begun = greeting.lstrip(b"\r\n")
    return any(begun.startswith(command) or command.startswith(begun) for command in (b"CONNECTED", b"ERROR"))


def stranger(endpoint: Endpoint, greeting: bytes) -> str:
    """What answered CONNECT with these bytes, which are no STOMP."""
    give = f"give the STOMP port as {_port(endpoint)}"
    if greeting.startswith(_TLS_ALERT):
        return f"{endpoint} speaks TLS: switch TLS on, {Field.TLS}, or give a port for plain STOMP as {_port(endpoint)}"
    for mark, protocol in _PROTOCOLS.items():
        if mark in greeting:
            return f"{endpoint} speaks {protocol}, it is no STOMP port: {give}"
    return f"{endpoint} is no STOMP port, it answered {greeting[:40]!r}: {give}"


_TLS_ALERT = b"\x15\x03"
_PROTOCOLS = {b"HTTP/": "HTTP", b"AMQP": "AMQP", b"ActiveMQ": "OpenWire", b"SSH-": "SSH"}


def handshake_failed(endpoint: Endpoint, error: BaseException) -> str:
    """TLS was not agreed on."""
    return f"TLS with {endpoint} failed: {error}{_hint(endpoint, error)}"


def _hint(endpoint: Endpoint, error: BaseException) -> str:
    text = str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f". {_distrust(endpoint, error.verify_code)}"
    if isinstance(error, (TimeoutError, ssl.SSLEOFError, ConnectionError)) or "WRONG_VERSION" in text:
        return (
            f". Does this port speak plain STOMP? Then switch TLS off, {Field.TLS}, "
            f"or give the TLS port as {_port(endpoint)}"
        )
    hint = _client_certificate(text)
    return f": {hint}" if hint else ""


_OTHER_NAME = {62, 64}
_NOT_YET, _EXPIRED = 9, 10
"""Numbers of OpenSSL's verification errors: host name and IP address mismatch, not yet valid, has expired."""


def _distrust(endpoint: Endpoint, code: int) -> str:
    if code in _OTHER_NAME:
        return (
            f"The broker's certificate is for another host name: give one that it names as {_host(endpoint)}, "
            f"or have the broker show a certificate for {endpoint.host}"
        )
    if code in {_NOT_YET, _EXPIRED}:
        return "The broker needs a certificate that is valid now, or this machine's clock is wrong"
    return f"The authority of the broker's certificate is not trusted: give its certificate as {Field.CA_FILE}"


_NO_CERTIFICATE = re.compile(r"CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_UNKNOWN|HANDSHAKE_FAILURE")


def _client_certificate(text: str) -> str:
    # An alert of the broker's: with TLS 1.3 it comes after the handshake, at the first read.
    if not _NO_CERTIFICATE.search(text.upper().replace(" ", "_")):
        return ""
    return f"the broker wants a client certificate that it trusts: look at {Field.CERT_FILE} and {Field.KEY_FILE}"


def refused_login(endpoint: Endpoint, words: str) -> str:
    """CONNECT was answered by an ERROR with these words."""
    return f"{endpoint} refused the login: {words.rstrip('.')}. {_of_login(words)}"


def _of_login(words: str) -> str:
    if re.search(r"virtual host", words, re.IGNORECASE):
        return f"Is {Field.VHOST} right, and has the user a right on it?"
    if re.search(r"already connected|client.?id", words, re.IGNORECASE):
        return (
            "A client id is one connection's only. That of a worker that was lost is free once the broker has noticed."
            f" Else set the durable consumer's instances to 1, or give one of the two another {Field.CLIENT_ID}"
        )
    return f"Look at {Field.USER} and {Field.PASSWORD}"


_NO_RIGHT = re.compile(r"access_refused|not authorized|does not have permission", re.IGNORECASE)


def with_advice(words: str) -> str:
    """An ERROR's words, and what to change where they say that the user has no right to a destination."""
    if not _NO_RIGHT.search(words):
        return words
    return f"{words.rstrip('.')}. Give {Field.USER} this right on the broker, or change the destination"

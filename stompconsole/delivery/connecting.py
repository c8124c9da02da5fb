"""Opening a session with a broker: its endpoints in order, the standby when the primary is gone.

Threads: an ``Attempt`` connects on a daemon of its own, so that whoever waits for it can leave at once; the limits of
the connect itself end it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from stompconsole import transport
from stompconsole.brokers import dialect_for
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.delivery.whereabouts import WHEREABOUTS
from stompconsole.errors import ConnectFailed, LoginRefused
from stompconsole.transport.session import Endpoint, Login, Session


def always() -> bool:
    """Somebody wants the session whatever happens."""
    return True


def open_session(broker: BrokerSpec, *, client_id: str = "", wanted: Callable[[], bool] = always) -> Session:
    """A session with the first endpoint that lets us in; ``client_id`` in place of the broker's own.

    Raises ConnectFailed with every endpoint's reason, or as soon as it is not ``wanted`` any more.
    """
    reasons: list[ConnectFailed] = []
    login = replace(broker.login, client_id=client_id) if client_id else broker.login
    for endpoint in broker.endpoints:
        if not wanted():
            raise ConnectFailed(GIVEN_UP)
        try:
            session = _connect(broker, endpoint, login)
        except ConnectFailed as error:
            reasons.append(error)
        else:
            if wanted():
                WHEREABOUTS.opened(broker, endpoint, "; ".join(map(str, reasons)))
            return session
    if len(reasons) == 1:
        raise reasons[0]
    kind = LoginRefused if all(isinstance(reason, LoginRefused) for reason in reasons) else ConnectFailed
    raise kind("; ".join(map(str, reasons)))


def _connect(broker: BrokerSpec, endpoint: Endpoint, login: Login) -> Session:
    beats = _heartbeat_s(broker, "")
    connect = partial(transport.connect, endpoint, login, connect_timeout_s=broker.connect_timeout_s)
    session = connect(heartbeat_s=beats)
    needed = _heartbeat_s(broker, session.server)
    if needed == beats:
        return session
    # Heart-beats are agreed on before the broker says who it is: once it has, they are agreed on anew.
    session.disconnect(DISCONNECT_TIMEOUT_S)
    return connect(heartbeat_s=needed)


def _heartbeat_s(broker: BrokerSpec, server: str) -> tuple[float, float]:
    send_s = broker.heartbeat_send_s or dialect_for(broker.kind, server).client_heartbeat_s
    return send_s, broker.heartbeat_receive_s


GIVEN_UP = "connecting was given up"
DISCONNECT_TIMEOUT_S = 2.0


class Attempt:
    """One attempt to connect, begun at once; ``wake`` is set when there is an outcome."""

    def __init__(self, name: str, connect: Callable[[], Session], wake: threading.Event) -> None:
        self._connect = connect
        self._wake = wake
        self._lock = threading.Lock()
        self._abandoned = False
        self._session: Session | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name=f"{name} connecting", daemon=True).start()

    def take(self, wanted: Callable[[], bool]) -> Session | None:
        """Wait for the session, or give up as soon as ``wake`` is set and it is not ``wanted`` any more: then None.

        Raises what connecting raised, ConnectFailed above all.
        """
        while wanted() and self._session is None and self._error is None:
            self._wake.wait()
            self._wake.clear()
        if not wanted():
            self._abandon()
            return None
        if self._error is not None:
            raise self._error
        return self._session

    def _abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            session = self._session
        if session is not None:
            session.abort(GIVEN_UP)

    def _run(self) -> None:
        try:
            session = self._connect()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is for whoever waits
            self._error = error
        else:
            self._keep(session)
        self._wake.set()

    def _keep(self, session: Session) -> None:
        # Under the lock: an unwanted session is aborted here, or found by whoever gives up.
        with self._lock:
            abandoned = self._abandoned
            if not abandoned:
                self._session = session
        if abandoned:
            session.abort(GIVEN_UP)

"""Sessions over stomp.py: opened under a time limit, receipts as futures, an end with a reason.

Threads: stomp.py's io thread runs every callback; stomp.py's heart-beat thread beats and watches. A lock
guards the end of the session, which either thread, or a caller, may bring about.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from stomp.connect import BaseConnection
from stomp.exception import NotConnectedException
from stomp.listener import ConnectionListener
from stomp.protocol import Protocol12
from stomp.utils import Frame as StompFrame

from stompconsole.errors import BrokerRefused, ConnectFailed, LoginRefused, SessionClosed
from stompconsole.transport import diagnosis, frames
from stompconsole.transport.frames import Frame
from stompconsole.transport.outcome import Outcome, Told
from stompconsole.transport.receipts import Receipts
from stompconsole.transport.session import Endpoint, FrameSink, Login
from stompconsole.transport.stomp_transport import NotRead, StompTransport

logger = logging.getLogger(__name__)

HEARTBEAT_GRACE = 2.0
"""How many times its promised interval a broker may stay silent: a loaded one beats late."""

LAST_WORDS_S = 5.0
"""How long an ERROR is taken for the reason of an end that follows it."""

READ_ON_S = 1.0
"""How long a failed write waits for what the broker had said before it closed."""


def connect(
    endpoint: Endpoint,
    login: Login,
    *,
    heartbeat_s: tuple[float, float] = (10.0, 10.0),
    connect_timeout_s: float = 10.0,
) -> StompSession:
    """Open a session: the host's name, TCP, TLS, CONNECT, CONNECTED, all within ``connect_timeout_s`` seconds.

    ``heartbeat_s`` is (what we send, what we want), 0 for none. Raises ConnectFailed, LoginRefused; what they say
    names the field of the broker, or the setting, to look at.
    """
    session = StompSession(endpoint, login, heartbeat_s, connect_timeout_s)
    try:
        session.open()
    except BaseException as error:
        session.abort(f"connecting failed: {error}")
        raise
    return session


class _Connection(BaseConnection, Protocol12):  # type: ignore[misc]
    """stomp.py's STOMP 1.2 connection, over our transport."""

    def __init__(self, transport: StompTransport, heartbeat_ms: tuple[int, int]) -> None:
        BaseConnection.__init__(self, transport)
        Protocol12.__init__(
            self, transport, heartbeat_ms, auto_content_length=False, heart_beat_receive_scale=HEARTBEAT_GRACE
        )


class _Listener(ConnectionListener):  # type: ignore[misc]
    """The two things stomp.py still has to tell us itself."""

    def __init__(self, connected: Callable[[Mapping[str, str]], None], lost: Callable[[], None]) -> None:
        self._connected = connected
        self._lost = lost

    def on_connected(self, frame: StompFrame) -> None:
        self._connected(frame.headers)

    def on_disconnected(self) -> None:
        self._lost()


class StompSession:
    """One STOMP 1.2 connection from CONNECTED to its end. See ``transport.session.Session``."""

    def __init__(
        self, endpoint: Endpoint, login: Login, heartbeat_s: tuple[float, float], connect_timeout_s: float
    ) -> None:
        self.endpoint = endpoint
        self._login = login
        self._timeout_s = connect_timeout_s
        self._heartbeat_s = heartbeat_s
        self._lock = threading.Lock()
        self._opened = threading.Event()
        self._connected: Mapping[str, str] = {}
        self._receipts = Receipts()
        self._sinks: dict[str, FrameSink] = {}
        self._close_reason: str | None = None
        self._leaving = False
        self._close_callbacks: list[Callable[[str], None]] = []
        self._ended = threading.Event()
        self._last_error = ""
        self._last_error_at = 0.0
        self._last_error_named = False
        self._unnamed_errors = 0
        self._transport = StompTransport(
            endpoint, vhost=login.vhost or "/", timeout_s=connect_timeout_s, on_frame=self._on_frame
        )
        send_s, receive_s = heartbeat_s
        self._connection = _Connection(self._transport, (int(send_s * 1000), int(receive_s * 1000)))
        self._connection.set_listener("stompconsole", _Listener(self._on_connected, self._on_lost))

    @property
    def server(self) -> str:
        return self._connected.get("server", "")

    @property
    def watched(self) -> bool:
        promised, _, _ = self._connected.get("heart-beat", "0,0").partition(",")
        return self._heartbeat_s[1] > 0 and promised.strip() not in {"", "0"}

    @property
    def close_reason(self) -> str | None:
        return self._close_reason

    @property
    def last_error(self) -> str:
        """The broker's last ERROR in words, or empty."""
        return self._last_error

    @property
    def unnamed_errors(self) -> int:
        return self._unnamed_errors

    def open(self) -> None:
        """CONNECT and wait for CONNECTED. Raises ConnectFailed, LoginRefused."""
        headers = {"client-id": self._login.client_id} if self._login.client_id else {}
        user, password = self._login.user or None, self._login.password or None
        self._transport.start()
        try:
            self._connection.connect(user, password, wait=False, headers=headers, with_connect_command=True)
        except (OSError, NotConnectedException) as error:
            # What was read is the better reason: the io thread has closed the socket on account of it.
            trouble = self._transport.trouble or str(error)
            raise ConnectFailed(self._transport.stranger or diagnosis.shut(self.endpoint, trouble)) from error
        if not self._opened.wait(self._transport.connect_left_s()):
            raise ConnectFailed(diagnosis.unanswered(self.endpoint, self._timeout_s))
        if self._last_error:
            raise LoginRefused(diagnosis.refused_login(self.endpoint, self._last_error))
        if self._close_reason is not None:
            transport = self._transport
            raise ConnectFailed(transport.stranger or diagnosis.shut(self.endpoint, transport.trouble))

    def on_close(self, callback: Callable[[str], None]) -> None:
        with self._lock:
            if self._close_reason is None:
                self._close_callbacks.append(callback)
                return
        callback(self._close_reason)

    def subscribe(
        self, subscription_id: str, destination: str, ack: str, headers: Mapping[str, str], sink: FrameSink
    ) -> Future[None]:
        # The sink is known before the frame is written: the first MESSAGE may come before the RECEIPT.
        self._sinks[subscription_id] = sink
        fields = {"id": subscription_id, "destination": destination, "ack": ack, **headers}
        return self.request("SUBSCRIBE", fields)

    def unsubscribe(self, subscription_id: str, headers: Mapping[str, str]) -> Future[None]:
        return self.request("UNSUBSCRIBE", {"id": subscription_id, **headers})

    def request(self, command: str, headers: Mapping[str, str], body: bytes = b"") -> Future[None]:
        outcome = Outcome()
        if frame := self.prepare(command, headers, body, outcome.tell):
            # What fails is told by the outcome.
            with contextlib.suppress(SessionClosed):
                self.write(frame)
        return outcome

    def prepare(
        self, command: str, headers: Mapping[str, str], body: bytes, told: Told, *, by_name: bool = False
    ) -> bytes:
        if not (receipt := self._receipts.expect(told, by_name=by_name)):
            return b""
        try:
            return frames.encode(command, {**headers, "receipt": receipt}, body)
        except BaseException:
            self._receipts.forget(receipt)
            raise

    def write(self, data: bytes) -> None:
        if self._close_reason is not None:
            raise SessionClosed(self._close_reason)
        try:
            self._transport.write(data)
        except SessionClosed as error:
            raise SessionClosed(self._end_of_writing(error)) from error

    def _end_of_writing(self, error: SessionClosed) -> str:
        """End the session; says why. What the broker said before it closed is a better reason than a broken pipe."""
        if not isinstance(error, NotRead) and threading.current_thread() is not self._transport.io_thread:
            self._ended.wait(READ_ON_S)
        self._close(self._last_words() or str(error))
        return self._close_reason or str(error)

    def disconnect(self, timeout_s: float) -> bool:
        self._leaving = True
        # Not by result(timeout_s) alone: writing the frame may wait as well, also for somebody else's write.
        limit = threading.Timer(timeout_s, self._close, ("disconnected",))
        limit.daemon = True
        limit.start()
        try:
            self.request("DISCONNECT", {}).result()
        except (SessionClosed, BrokerRefused):
            return False
        else:
            return True
        finally:
            limit.cancel()
            self._close("disconnected")

    def abort(self, reason: str) -> None:
        self._close(reason)

    def _on_connected(self, headers: Mapping[str, str]) -> None:
        self._connected = dict(headers)
        self._opened.set()

    def _on_lost(self) -> None:
        self._close(self._loss())

    def _loss(self) -> str:
        if self._leaving:
            # The broker closes as soon as it has confirmed: that may be seen before the confirmation is.
            return "disconnected"
        if words := self._last_words():
            return words
        if self._transport.silent:
            silent_s = time.monotonic() - self._transport.last_read_at
            return f"{self.endpoint} was silent for {silent_s:.1f} s: no heart-beat came"
        trouble = self._transport.trouble
        return f"the connection to {self.endpoint} was lost{f': {trouble}' if trouble else ''}"

    def _last_words_unnamed(self) -> bool:
        """Whether an ERROR has just come that named no frame. Artemis gives the reason in such a one, and then
        another one that names the frame and gives none."""
        return bool(self._last_words()) and not self._last_error_named

    def _last_words(self) -> str:
        if not self._last_error or time.monotonic() - self._last_error_at > LAST_WORDS_S:
            return ""
        return f"{self.endpoint} ended the connection: {self._last_error}"

    def _on_frame(self, frame: StompFrame) -> None:
        try:
            if frame.cmd == "MESSAGE":
                sink = self._sinks.get(frame.headers.get("subscription", ""))
                if sink is not None:
                    sink(Frame("MESSAGE", frame.headers, frame.body))
            elif frame.cmd == "RECEIPT":
                self._receipts.confirm(frame.headers.get("receipt-id", ""))
            else:
                self._on_error(frame.headers, frame.body)
        except Exception as error:  # stomp.py would drop what else it has read, and go on as if nothing were
            logger.exception("a %s from %s could not be taken", frame.cmd, self.endpoint)
            self._close(f"internal error: {error!r}")

    def _on_error(self, headers: Mapping[str, str], body: bytes) -> None:
        words = diagnosis.with_advice(frames.error_in_words(headers, body))
        logger.warning("ERROR from %s: %s", self.endpoint, words)
        if "receipt-id" in headers and self._last_words_unnamed():
            words = f"{self._last_error}; {words}"
        self._last_error, self._last_error_at = words, time.monotonic()
        self._last_error_named = "receipt-id" in headers
        # Before anybody is told of what comes after it.
        self._unnamed_errors += not self._last_error_named
        self._opened.set()
        if headers.get("subscription") in self._sinks:
            # RabbitMQ, when a queue is deleted: nothing more would come, on a connection that stays open.
            self._close(f"{self.endpoint} ended the subscription: {self._last_error}")
        self._receipts.refuse(headers.get("receipt-id"), self._last_error)

    def _close(self, reason: str) -> None:
        with self._lock:
            if self._close_reason is not None:
                return
            self._close_reason = reason
            callbacks, self._close_callbacks = self._close_callbacks, []
        self._transport.shut()
        self._opened.set()
        self._ended.set()
        self._receipts.end(reason)
        for callback in callbacks:
            try:
                callback(reason)
            except Exception:  # one that fails must not keep the end from the others
                logger.exception("telling the end of the session with %s failed", self.endpoint)

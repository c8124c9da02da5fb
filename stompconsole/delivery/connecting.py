"""Opening a session with a broker: its endpoints in order, the standby when the primary is gone."""

from __future__ import annotations

from dataclasses import replace

from stompconsole import transport
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import ConnectFailed, LoginRefused
from stompconsole.transport.session import Session


def open_session(broker: BrokerSpec, *, client_id: str = "") -> Session:
    """A session with the first endpoint that lets us in; ``client_id`` in place of the broker's own.

    Raises ConnectFailed with every endpoint's reason.
    """
    reasons: list[ConnectFailed] = []
    login = replace(broker.login, client_id=client_id) if client_id else broker.login
    for endpoint in broker.endpoints:
        try:
            return transport.connect(
                endpoint,
                login,
                heartbeat_s=(broker.heartbeat_send_s, broker.heartbeat_receive_s),
                connect_timeout_s=broker.connect_timeout_s,
            )
        except ConnectFailed as error:
            reasons.append(error)
    if len(reasons) == 1:
        raise reasons[0]
    kind = LoginRefused if all(isinstance(reason, LoginRefused) for reason in reasons) else ConnectFailed
    raise kind("; ".join(map(str, reasons)))

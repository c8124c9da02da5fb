"""What each ack mode makes of settling: the ``ack`` header of SUBSCRIBE, and the ACKs that are owed then."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from stompconsole.delivery.settlement import Delivery, Settlement, Surroundings
from stompconsole.delivery.specs import AckMode
from stompconsole.transport import frames
from stompconsole.transport.session import Session


class CumulativeSettlement(Settlement):
    """``client``: an ACK covers all before it, so it is owed only for what is settled without a gap.

    So draining lets handlers begin with what came before a message that another thread has begun with: given back, it
    would take that one along, which has been handled.
    """

    def __init__(self, session: Session, destination: str, *, limit: int, around: Surroundings) -> None:
        super().__init__(session, destination, limit=limit, around=around)
        self._order: deque[Delivery] = deque()
        self._begun_with = 0

    def begins(self, delivery: Delivery) -> bool:
        with self._lock:
            if self.wants_more:
                self._begun_with = max(self._begun_with, delivery.number)
                return True
            return self.open and delivery.number < self._begun_with

    def arrived(self, delivery: Delivery) -> None:
        self._order.append(delivery)
        super().arrived(delivery)

    def nack(self, delivery: Delivery, headers: dict[str, str]) -> bool:
        # A NACK covers all before it on RabbitMQ and only itself on ActiveMQ: never sent in this mode.
        raise NotImplementedError("ack mode client never sends NACK")

    def _owe(self, delivery: Delivery, frame: bytes) -> None:
        last: Delivery | None = None
        while self._order and self._order[0].settled:
            last = self._order.popleft()
        if last is not None:
            self._owed.append(frames.ack(last.ack_id))

    def _collect(self) -> bytes:
        with self._lock:
            data = self._owed[-1] if self._owed else b""
            self._owed.clear()
        return data


class AutoSettlement(Settlement):
    """``auto``: the broker has forgotten the message already; nothing is written.

    So it is ours alone from its arrival: it is worked off whatever becomes of its session, and draining waits for it.
    """

    @property
    def open(self) -> bool:
        return True

    def arrived(self, delivery: Delivery) -> None:
        super().arrived(delivery)
        super().take([delivery])

    def take(self, batch: Sequence[Delivery]) -> list[Delivery]:
        return [delivery for delivery in batch if not delivery.settled]

    def ended(self) -> None:
        self._tell_waiting()

    def again(self, delivery: Delivery, delay_s: float) -> None:
        self._around.after(delay_s, lambda: self._around.put(delivery))

    def give_back(self, batch: Sequence[Delivery], reason: str) -> None:
        # There is nobody to give it back to.
        self.fail(reason)

    def nack(self, delivery: Delivery, headers: dict[str, str]) -> bool:
        return self.ack(delivery)

    def _owe(self, delivery: Delivery, frame: bytes) -> None:
        return


def settlement_for(
    mode: AckMode, session: Session, destination: str, *, limit: int, around: Surroundings
) -> Settlement:
    """The settlement an ack mode asks for. ``limit``: ACKs written at once at the latest."""
    match mode:
        case AckMode.CLIENT_INDIVIDUAL:
            return Settlement(session, destination, limit=limit, around=around)
        case AckMode.CLIENT:
            return CumulativeSettlement(session, destination, limit=limit, around=around)
        case AckMode.AUTO:
            return AutoSettlement(session, destination, limit=limit, around=around)

"""A primary and a standby: two doors to one broker, as with a cluster, each of which can be shut."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from stompconsole.delivery.observer import Switch
from stompconsole.delivery.specs import BrokerSpec, Failback
from stompconsole.delivery.whereabouts import WHEREABOUTS
from stompconsole.transport.session import Place
from tests.delivery.running import Running
from tests.support.brokers import TestBroker
from tests.support.proxy import Proxy
from tests.support.waiting import until

CHECK_S = 0.2


class Pair:
    """The doors, and what is told of switches between them."""

    def __init__(self, broker: TestBroker, primary: Proxy, standby: Proxy) -> None:
        self.primary = primary
        self.standby = standby
        self.at_primary, self.at_standby = str(primary.endpoint), str(standby.endpoint)
        self.broker = broker
        self.switches: list[Switch] = []

    def switched(self, switch: Switch) -> None:
        if switch.broker == self.broker.name:
            self.switches.append(switch)

    def spec(self, failback: Failback = Failback.RETURN, **fields: Any) -> BrokerSpec:
        """The broker with both doors."""
        doors = (self.primary.endpoint, replace(self.standby.endpoint, place=Place.STANDBY))
        quick = {"endpoints": doors, "failback_check_s": CHECK_S, "reconnect_pause_s": 0.2}
        return self.broker.broker_spec(failback=failback, **{**quick, **fields})

    def on_standby(self, run: Running) -> None:
        """Wait until it runs there."""
        until(lambda: run.runner.status.endpoint == self.at_standby, 20, "it is on the standby")
        run.wait_running()

    def on_primary(self, run: Running) -> None:
        """Wait until it runs there."""
        until(lambda: run.runner.status.endpoint == self.at_primary, 20, "it is on the primary")
        run.wait_running()

    def told(self) -> list[str]:
        """Where each switch led to."""
        return [str(switch.now) for switch in self.switches]


@contextmanager
def pair_before(broker: TestBroker) -> Iterator[Pair]:
    """Two doors to a broker."""
    with Proxy(broker.endpoint()) as primary, Proxy(broker.endpoint()) as standby:
        pair = Pair(broker, primary, standby)
        WHEREABOUTS.tell(pair)
        try:
            yield pair
        finally:
            WHEREABOUTS.tell_no_more(pair)


def watches() -> list[str]:
    """The threads that watch primaries now."""
    return [thread.name for thread in threading.enumerate() if thread.name.endswith("primary watch")]

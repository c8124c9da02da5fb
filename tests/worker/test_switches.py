"""A switch to the standby and back: once in the audit for each worker, whoever makes it, whatever the database does."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError, connections

from stompconsole.delivery.observer import Switch
from stompconsole.delivery.whereabouts import WHEREABOUTS
from stompconsole.models import AuditEntry, Broker, Consumer, Subscription
from stompconsole.transport.session import Endpoint
from stompconsole.worker.events import Events, Notes
from stompconsole.worker.supervisor import Supervisor
from tests.failover.pair import Pair, pair_before
from tests.support.brokers import TestBroker
from tests.worker.test_supervisor import QUICK, Scene

RABBIT_A, RABBIT_B = Endpoint(host="rabbit-a", port=61613), Endpoint(host="rabbit-b", port=61613)
SWITCH = Switch(broker="main", was=RABBIT_A, now=RABBIT_B, reason="can't reach rabbit-a:61613")


def switches() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action="broker switched").order_by("id"))


def broker_with(pair: Pair, **fields: Any) -> Broker:
    primary, standby = pair.primary.endpoint, pair.standby.endpoint
    return Broker.objects.create(
        name="main",
        host=primary.host,
        port=primary.port,
        standby_host=standby.host,
        standby_port=standby.port,
        user=pair.broker.user,
        password=pair.broker.password,
        failback="return",
        failback_check_s=1.0,
        reconnect_pause_s=0.2,
        **fields,
    )


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_several_consumers_make_one_event_for_each_switch(devbroker: TestBroker) -> None:
    with pair_before(devbroker) as pair:
        broker = broker_with(pair)
        for name in ("orders", "mail", "prices"):
            fields = {"name": name, "destination": f"/queue/{name}", "handler": "json.loads", "broker": broker}
            Consumer.objects.create(**fields)  # each with the capture of its dead letters beside it
        connections.close_all()

        async def scenario() -> None:
            async with Scene(Supervisor(replace(QUICK, lease_s=10.0))) as scene:
                rows = Subscription.objects.filter(state="running")
                await scene.until(lambda: rows.filter(endpoint=pair.at_primary).count() == 6, "all run")
                pair.primary.refuse()
                await scene.until(lambda: rows.filter(endpoint=pair.at_standby).count() == 6, "on the standby")
                await scene.until(lambda: len(switches()) == 1, "it is told")
                pair.primary.accept()
                await scene.until(lambda: rows.filter(endpoint=pair.at_primary).count() == 6, "back")
                await scene.until(lambda: len(switches()) == 2, "it is told as well")

        asyncio.run(scenario())
        there, back = switches()
        assert (there.target, there.consumer_id) == ("broker main", None)
        assert there.detail.startswith(f"{pair.at_standby} in place of {pair.at_primary}, because ")
        assert there.data == {"from": pair.at_primary, "to": pair.at_standby}
        assert back.detail == f"{pair.at_primary} in place of {pair.at_standby}, because it answers again"


class Away(Events):
    """Events whose database comes back after so many tries."""

    def __init__(self, tries: int) -> None:
        super().__init__("web:1")
        self.tries = tries
        self.told: list[Switch] = []

    def switched(self, switch: Switch) -> None:
        self.tries -= 1
        if self.tries >= 0:
            raise OperationalError("the database is away")
        self.told.append(switch)


def test_what_the_database_did_not_take_is_kept_in_its_order() -> None:
    events = Away(tries=2)
    noted = Notes(events)
    back = Switch(broker="main", was=RABBIT_B, now=RABBIT_A, reason="it answers again")
    noted.switched(SWITCH)
    noted.switched(back)
    for _ in range(2):
        with pytest.raises(OperationalError):
            noted.write()
        assert not noted.empty
    noted.write()
    assert (events.told, noted.empty) == ([SWITCH, back], True)


def test_two_threads_that_write_tell_each_switch_once() -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(Away):
        def switched(self, switch: Switch) -> None:
            entered.set()
            assert go_on.wait(5)
            super().switched(switch)

    events = Slow(tries=0)
    noted = Notes(events)
    noted.switched(SWITCH)
    threads = [threading.Thread(target=noted.write) for _ in range(2)]
    threads[0].start()
    assert entered.wait(5)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(5)
    assert events.told == [SWITCH]


@pytest.mark.django_db(transaction=True)
def test_a_switch_in_the_last_moment_is_told_and_nobody_listens_afterwards() -> None:
    supervisor = Supervisor(QUICK)
    before = len(WHEREABOUTS._observers)

    async def scenario() -> None:
        async with Scene(supervisor) as scene:
            await scene.until(AuditEntry.objects.filter(action="worker started").exists, "it runs")
            scene.stop.set()
            supervisor._notes.switched(SWITCH)

    asyncio.run(scenario())
    assert [entry.data["to"] for entry in switches()] == ["rabbit-b:61613"]
    assert len(WHEREABOUTS._observers) == before

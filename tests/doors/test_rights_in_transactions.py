"""A transaction in which ActiveMQ refuses one message for want of a right."""

from __future__ import annotations

import pytest

from stompconsole.brokers.dialect import PERSISTENT
from stompconsole.delivery.jobs import Message
from stompconsole.delivery.sender import Sender
from stompconsole.errors import BrokerRefused
from tests.delivery.running import take_all
from tests.support.guarded_activemq import GuardedActiveMQ

pytestmark = pytest.mark.broker


def test_nothing_of_it_is_there_and_the_next_one_is(guarded_activemq: GuardedActiveMQ, destination: str) -> None:
    broker = guarded_activemq.broker.broker_spec()
    own, other = (destination.replace("/queue/", f"/queue/{whose}.") for whose in ("own", "other"))
    sender = Sender(broker)
    sender.dialect()
    refused = sender.send_together([Message(name, PERSISTENT, b"1") for name in (own, other, own)])
    assert type(refused.exception(20)) is BrokerRefused
    sender.send_together([Message(own, PERSISTENT, body) for body in (b"2", b"3")]).result(20)
    sender.close(5.0)
    assert take_all(broker, own, 2) == [2, 3]

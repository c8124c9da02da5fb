"""Which brokers a test with ``any_broker`` runs on, where it need not be all of them."""

from __future__ import annotations

import pytest


def on(*names: str) -> pytest.MarkDecorator:
    """Run a test with ``any_broker`` on each of these."""
    return pytest.mark.parametrize("any_broker", names, indirect=True)


ARTEMIS = ("artemis", "artemis_prefixed")

one_of_each_dialect = on("devbroker", "rabbitmq", "activemq", "artemis")
"""For what takes long: ActiveMQ 6 speaks as 5 does, and the second door of Artemis as the first."""

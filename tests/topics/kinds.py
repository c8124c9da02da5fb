"""Which brokers a test of topics runs against."""

from __future__ import annotations

import pytest


def on(*kinds: str) -> pytest.MarkDecorator:
    """Run a test with ``any_broker`` on each of these."""
    return pytest.mark.parametrize("any_broker", kinds, indirect=True)


ACTIVEMQ = ("activemq", "activemq6")
DURABLE = ("rabbitmq", *ACTIVEMQ, "artemis", "artemis_prefixed")

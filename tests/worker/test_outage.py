"""A database that is away is told of once."""

from __future__ import annotations

import logging

import pytest
from django.db import OperationalError

from stompconsole.worker.outages import Outage


def test_an_outage_is_said_once_and_its_end_as_well(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stompconsole.worker.outages")
    outage = Outage()
    outage.over()
    for _ in range(3):
        outage.noticed(OperationalError("no\nroute"))
    outage.over()
    outage.over()
    assert [record.getMessage() for record in caplog.records] == [
        "the database is away, the worker goes on trying: no route",
        "the database is back",
    ]

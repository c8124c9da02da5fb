"""Samples from the handler to their rows, by a real worker; and what its settings say of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from django.db import DataError, OperationalError

from stompconsole.deadletters import samples
from stompconsole.models import AuditEntry, HandledSample, Worker
from stompconsole.worker.samplers import Samplers
from tests.delivery.test_sampling import delivery
from tests.support.waiting import until
from tests.worker.stage import Stage


@pytest.mark.slow
def test_what_is_handled_well_comes_into_rows_and_what_fails_does_not(stage: Stage) -> None:
    worker = stage.worker(RELEASE="4.2")  # type: ignore[arg-type]
    good, bad = stage.consumer("good", instances=2), stage.consumer("bad", "fail")
    stage.wait_for(good, "running", 2)
    stage.wait_for(bad, "running")
    stage.send("/queue/bad", [{"sku": 1}])
    sent = 0

    def three_are_sampled() -> bool:
        nonlocal sent
        stage.send("/queue/good", [{"sku": sent}], team="a")
        sent += 1
        return HandledSample.objects.count() >= 3

    until(three_are_sampled, 20, "three of them are sampled")
    until(lambda: len(stage.written()) == sent, what="all are handled")
    rows = list(HandledSample.objects.order_by("at"))
    assert {row.consumer_id for row in rows} == {good.pk}
    assert {(row.origin, row.headers["team"], tuple(row.document)) for row in rows} == {("/queue/good", "a", ("sku",))}
    assert all(later.at > row.at for row, later in pairwise(rows))
    assert len(rows) <= (rows[-1].at - rows[0].at).total_seconds() + 1, "never more than one a second"
    assert sent > len(rows)
    row = Worker.objects.get()
    assert row.release == "4.2"
    [entry] = AuditEntry.objects.filter(action="worker started")
    assert entry.data == {"release": "4.2", "stompconsole": row.version}
    assert worker.terminate() == 0


@pytest.mark.slow
def test_switched_off_nothing_is_sampled_and_what_was_kept_goes(stage: Stage) -> None:
    consumer = stage.consumer("good")
    samples.store({consumer.pk: _taken()})
    worker = stage.worker(SAMPLE_HANDLED=False)
    stage.wait_for(consumer, "running")
    stage.send("/queue/good", range(20))
    until(lambda: len(stage.written()) == 20, what="all are handled")
    until(lambda: not HandledSample.objects.exists(), what="the old sample is swept away")
    assert worker.terminate() == 0
    assert not HandledSample.objects.exists()


def _taken() -> tuple[samples.Sample, ...]:
    samplers = Samplers()
    samplers.of(1).offer(delivery())
    return samplers.of(1).take()


def test_slots_of_a_consumer_share_a_sampler() -> None:
    samplers = Samplers()
    assert samplers.of(1) is samplers.of(1)
    assert samplers.of(1) is not samplers.of(2)
    assert samplers.empty
    samplers.of(2).offer(delivery())
    assert not samplers.empty


def test_a_database_that_is_away_is_told_and_nothing_else_ends_the_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    samplers = Samplers()
    for error in (OperationalError("away"), DataError("odd")):

        def refuse(_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(samples, "store", refuse)
        samplers.of(1).offer(delivery())
        if isinstance(error, OperationalError):
            with pytest.raises(OperationalError):
                samplers.write()
        else:
            samplers.of(2).offer(delivery())
            samplers.write()
    assert "samples of handled messages could not be stored" in caplog.text
    assert samplers.empty

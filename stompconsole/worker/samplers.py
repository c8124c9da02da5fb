"""The samplers of a worker's consumers: made for its runners, emptied into rows by a lane.

A sample that can't be written is given up: the next one is as good, and nothing depends on it.
"""

from __future__ import annotations

import logging

from stompconsole.deadletters import samples
from stompconsole.delivery.sampling import Sampler
from stompconsole.worker.outages import DATABASE_AWAY

logger = logging.getLogger(__name__)


class Samplers:
    """One sampler for each consumer, shared by its slots."""

    def __init__(self) -> None:
        # Made on the loop and read by a lane: neither ever takes one out.
        self._samplers: dict[int, Sampler] = {}

    def of(self, consumer_id: int) -> Sampler:
        """The sampler of a consumer."""
        return self._samplers.setdefault(consumer_id, Sampler())

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return all(sampler.empty for sampler in list(self._samplers.values()))

    def write(self) -> None:
        """Write what was sampled since the last time. Raises what a database raises that is away."""
        taken = {consumer_id: sampler.take() for consumer_id, sampler in list(self._samplers.items())}
        try:
            samples.store({consumer_id: found for consumer_id, found in taken.items() if found})
        except DATABASE_AWAY:
            raise
        except Exception:  # nothing that a message holds may end the worker
            logger.exception("samples of handled messages could not be stored")

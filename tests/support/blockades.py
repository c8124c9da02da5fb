"""Brokers that can be made to take nothing, and to take again: by an alarm, a full store, a full disk.

Owns what it takes with each kind. RabbitMQ is the run's own node, put right again; the others are instances of their
own with little space. Refuses to be quick at any price: a broker that is said to be blocked is, until ``clear``.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from tests.support import activemq, artemis, rabbitmq
from tests.support.activemq import ActiveMQ
from tests.support.artemis import Artemis
from tests.support.brokers import TestBroker
from tests.support.rabbitmq import RabbitMQ
from tests.support.rawstomp import RawClient, connected
from tests.support.waiting import until

FILLER = "/queue/test.filler"
BLOCK_BYTES = 100_000
CONTROL_TIMEOUT_S = 60.0
ANSWER_S = 1.0
"""How long a broker that takes messages may need for one."""


class Blockade(ABC):
    """A broker, and a hand on what makes it take nothing."""

    broker: TestBroker
    words: str
    """What the pages say of it while it is on, in part."""
    refuses = False
    """Whether it says that it does not take a message, rather than nothing."""

    @abstractmethod
    def block(self) -> None:
        """Have the broker take nothing, from anybody; returns when it does not."""

    @abstractmethod
    def clear(self) -> None:
        """Make an end of it. The broker may need a second or two."""

    def close(self) -> None:
        """End it for good."""
        self.clear()


class Alarm(Blockade):
    """An alarm of a RabbitMQ node: ``setting`` is what raises it, ``normal`` what ends it."""

    words = "the broker does not confirm"

    def __init__(self, broker: TestBroker, setting: tuple[str, ...], normal: tuple[str, ...]) -> None:
        assert isinstance(broker.rig, RabbitMQ)
        self.broker = broker
        self._rig = broker.rig
        self._setting = setting
        self._normal = normal

    def block(self) -> None:
        self._control(*self._setting)

    def clear(self) -> None:
        self._control(*self._normal)

    def _control(self, *arguments: str) -> None:
        server = rabbitmq.server()
        assert server is not None
        environment = self._rig._environment()
        command = [str(server.parent / "rabbitmqctl"), "-n", environment["RABBITMQ_NODENAME"], *arguments]
        subprocess.run(
            command, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL, timeout=CONTROL_TIMEOUT_S
        )


def memory_alarm(broker: TestBroker) -> Alarm:
    """A node that has no memory to spare."""
    key = "set_vm_memory_high_watermark"
    return Alarm(broker, (key, "0.000001"), (key, "0.4"))


def disk_alarm(broker: TestBroker) -> Alarm:
    """A node that wants more free disk than there is anywhere."""
    return Alarm(broker, ("set_disk_free_limit", "900000GB"), ("set_disk_free_limit", "50MB"))


class SmallActiveMQ(ActiveMQ):
    """An instance whose store holds four megabytes. ``usage`` are attributes of its ``systemUsage``."""

    def __init__(self, server: Path, folder: Path, usage: str) -> None:
        super().__init__(server, folder)
        self._usage = usage

    def configure(self, activemq_xml: str) -> str:
        for old, new in (
            # Space comes back by the journal file, when it is cleaned up: small files, cleaned up often.
            ("<kahaDB ", '<kahaDB journalMaxFileLength="512kb" cleanupInterval="500" checkpointInterval="500" '),
            ('<storeUsage limit="1 gb"/>', '<storeUsage limit="4 mb"/>'),
            ("<systemUsage><systemUsage>", f"<systemUsage><systemUsage {self._usage}>"),
        ):
            assert old in activemq_xml
            activemq_xml = activemq_xml.replace(old, new)
        return activemq_xml


class FullStore(Blockade):
    """An ActiveMQ whose store is full. By default it says nothing; ``sendFailIfNoSpace`` makes it say so."""

    def __init__(self, server: Path, folder: Path, usage: str, words: str) -> None:
        self.words = words
        self.refuses = bool(usage)
        self.broker = activemq.broker("activemq", SmallActiveMQ(server, folder, usage))
        self.broker.rig.start()
        self.broker.wait_until_ready()
        self._on = False

    def block(self) -> None:
        self._on = True
        self._fill()
        # What was acknowledged before is cleaned up about now, and makes room once more.
        with suppress(TimeoutError), self._client() as client:
            client.read_frame(ANSWER_S)
        self._fill()

    def clear(self) -> None:
        if self._on:
            until(self._drain, 30, "the filler is drained")
            self._on = False

    def close(self) -> None:
        self.broker.rig.close()

    def _fill(self) -> None:
        with self._client() as client:
            while self._takes(client):
                pass

    def _takes(self, client: RawClient) -> bool:
        client.timeout_s = ANSWER_S
        headers = {"destination": FILLER, "persistent": "true"}
        try:
            return client.request("SEND", headers, b"x" * BLOCK_BYTES).command == "RECEIPT"
        except TimeoutError:
            return False

    def _drain(self) -> bool:
        """Whether the filler is gone, and messages are taken."""
        with self._client() as client:
            headers = {"id": "1", "destination": FILLER, "ack": "client-individual", "activemq.prefetchSize": "1000"}
            client.done("SUBSCRIBE", headers)
            with suppress(TimeoutError):
                while True:
                    client.settle(client.read_frame(0.3))
            client.done("UNSUBSCRIBE", {"id": "1"})
        with self._client() as client:
            return self._takes(client)

    def _client(self) -> RawClient:
        login = {"login": self.broker.user, "passcode": self.broker.password}
        return connected(self.broker.host, self.broker.port, headers=login)


def full_store(server: Path, folder: Path) -> FullStore:
    """As ActiveMQ comes: whoever sends is held up without a word."""
    return FullStore(server, folder, "", "the broker does not confirm")


def full_store_told(server: Path, folder: Path) -> FullStore:
    """One that refuses instead."""
    return FullStore(server, folder, 'sendFailIfNoSpace="true"', "Persistent store is Full")


class SmallArtemis(Artemis):
    """An instance that takes nothing while its disk is used beyond ``limit`` percent."""

    limit = 100

    def configure(self, broker_xml: str) -> str:
        text = super().configure(broker_xml)
        for name, value in (("max-disk-usage", self.limit), ("disk-scan-period", 200)):
            start, end = text.index(f"<{name}>"), text.index(f"</{name}>")
            text = f"{text[:start]}<{name}>{value}{text[end:]}"
        return text


class FullDisk(Blockade):
    """An Artemis in a folder of its own on a file system in memory, which one large file fills beyond its limit."""

    words = "Free storage space"
    refuses = True

    def __init__(self, server: Path, folder: Path) -> None:
        self._folder = folder
        self._ballast: IO[bytes] | None = None
        rig = SmallArtemis(server, folder)
        # What it writes itself must fit.
        rig.limit = math.ceil(100 * (_used(folder) + OWN_BYTES) / _total(folder))
        self._target = _total(folder) * rig.limit // 100 + BEYOND_BYTES
        self.broker = artemis.ArtemisBroker(
            name="artemis", port=rig.prefixed, prefixed_port=rig.stock, user=artemis.USER, password=artemis.PASSWORD,
            rig=rig,
        )  # fmt: skip
        rig.start()
        self.broker.wait_until_ready()

    def block(self) -> None:
        # Without a name: whatever becomes of this process, the memory is given back.
        self._ballast = TemporaryFile(dir=self._folder)  # noqa: SIM115 - held until it is cleared
        os.posix_fallocate(self._ballast.fileno(), 0, self._target - _used(self._folder))
        until(lambda: not self._takes(), 10, "the broker notices")

    def clear(self) -> None:
        if self._ballast is not None:
            self._ballast.close()
            self._ballast = None
            until(self._takes, 10, "the broker notices")

    def close(self) -> None:
        self.broker.rig.close()

    def _takes(self) -> bool:
        login = {"login": self.broker.user, "passcode": self.broker.password}
        with connected(self.broker.host, self.broker.port, headers=login) as client:
            answer = client.request("SEND", {"destination": FILLER, "persistent": "true"}, b"x")
        return answer.command == "RECEIPT"


BEYOND_BYTES = 32_000_000

OWN_BYTES = 100_000_000
"""What an Artemis writes of its own, and then some."""


def memory_folder() -> Path | None:
    """A file system in memory that is large enough; None if there is none."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and _total(folder) - _used(folder) > 3 * OWN_BYTES else None


def _total(folder: Path) -> int:
    return shutil.disk_usage(folder).total


def _used(folder: Path) -> int:
    return shutil.disk_usage(folder).used

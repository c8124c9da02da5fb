"""An ActiveMQ that lets its user into some queues only (authorizationPlugin), with a TLS door besides the plain one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from stompconsole.transport.session import Endpoint, Tls
from tests.support import activemq
from tests.support.authority import Authority
from tests.support.brokers import TestBroker
from tests.support.ports import free_port
from tests.support.servers import HOST

STORE_PASSWORD = "changeit"

RIGHTS = """\
<authorizationPlugin><map><authorizationMap><authorizationEntries>
  <authorizationEntry queue=">" read="admins" write="admins" admin="admins"/>
  <authorizationEntry queue="own.>" read="users" write="users" admin="users"/>
  <authorizationEntry topic=">" read="users" write="users" admin="users"/>
</authorizationEntries></authorizationMap></map></authorizationPlugin></plugins>
<sslContext><sslContext keyStore="file:///{store}" keyStorePassword="{password}" keyStoreType="PKCS12"/></sslContext>
"""

DOOR = """\
<transportConnectors>
  <transportConnector name="stomp+ssl" uri="stomp+ssl://{host}:{port}"/>
"""


class GuardedActiveMQ(activemq.ActiveMQ):
    """One instance."""

    def __init__(self, server: Path, folder: Path, authority: Authority) -> None:
        super().__init__(server, folder)
        self.authority = authority
        self.port = free_port()

    @property
    def broker(self) -> TestBroker:
        """Its plain door."""
        return activemq.broker("guarded activemq", self)

    def tls_door(self, tls: Tls | None = None) -> Endpoint:
        """Its TLS door; spoken to plainly if there is no ``tls``."""
        return Endpoint(host=HOST, port=self.port, tls=tls)

    def configure(self, activemq_xml: str) -> str:
        store = self._folder / "store.p12"
        store.write_bytes(self.authority.pkcs12(HOST, password=STORE_PASSWORD))
        rights = RIGHTS.format(store=store, password=STORE_PASSWORD)
        door = DOOR.format(host=HOST, port=self.port)
        return activemq_xml.replace("</plugins>", rights).replace("<transportConnectors>", door)


@contextmanager
def running_guarded_activemq(server: Path) -> Iterator[GuardedActiveMQ]:
    """Run one."""
    with TemporaryDirectory(prefix="stompconsole-guarded-", ignore_cleanup_errors=True) as name:
        rig = GuardedActiveMQ(server, Path(name), Authority(Path(name)))
        try:
            rig.start()
            rig.broker.wait_until_ready()
            yield rig
        finally:
            rig.close()

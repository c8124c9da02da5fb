"""A RabbitMQ with a TLS listener besides the plain one, its certificate made by an authority of the run's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from stompconsole.delivery.specs import BrokerSpec
from stompconsole.transport.session import Endpoint, Place, Tls
from tests.support.authority import Authority
from tests.support.brokers import TestBroker
from tests.support.ports import free_port
from tests.support.rabbitmq import RabbitMQ
from tests.support.servers import HOST

CERTIFIED = (HOST, "broker.test")
"""What the certificate names: the address, and a name that is not this machine's. Not ``localhost``."""

UNCERTIFIED = "localhost"
"""A name under which it can be reached, and which its certificate does not have."""

CONFIG = """\
stomp.listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {cert}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = {required}
"""


class TlsNode(RabbitMQ):
    """One node. It trusts clients of its own authority; ``required``: those that show no certificate are refused."""

    def __init__(self, server: Path, folder: Path, authority: Authority, *, required: str) -> None:
        super().__init__(server, folder)
        self.port = free_port()
        self._authority = authority
        self._required = required

    @property
    def amqp(self) -> int:
        """The port for AMQP."""
        return self._amqp

    def _configure(self) -> None:
        super()._configure()
        signed = self._authority.sign(*CERTIFIED)
        lines = CONFIG.format(
            port=self.port,
            ca=self._authority.ca_file,
            cert=signed.cert_file,
            key=signed.key_file,
            required=self._required,
        )
        with (self._folder / "rabbitmq.conf").open("a") as conf:
            conf.write(lines)


class TlsRabbitMQ:
    """The node as tests see it: its doors, and who vouches for it."""

    def __init__(self, node: TlsNode, authority: Authority, folder: Path) -> None:
        self.authority = authority
        self.folder = folder
        self.node = node
        self.plain = TestBroker(name="tls rabbitmq", port=node.stomp, user="guest", password="guest", rig=node)

    def endpoint(self, tls: Tls | None = None, *, host: str = HOST, place: Place = Place.PRIMARY) -> Endpoint:
        """The TLS door; verified by its authority unless ``tls`` says otherwise."""
        return Endpoint(host=host, port=self.node.port, tls=tls or self.authority.tls(), place=place)

    def spec(self, *endpoints: Endpoint, **fields: object) -> BrokerSpec:
        """A broker with these endpoints, by default the TLS door."""
        spec = self.plain.broker_spec(endpoints=endpoints or (self.endpoint(),))
        return replace(spec, **fields)  # type: ignore[arg-type]


@contextmanager
def running_tls_rabbitmq(server: Path, *, required: str = "false") -> Iterator[TlsRabbitMQ]:
    """Run one. ``required`` is RabbitMQ's ``fail_if_no_peer_cert``."""
    with TemporaryDirectory(prefix="stompconsole-tls-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        authority = Authority(folder)
        node = TlsNode(server, folder, authority, required=required)
        running = TlsRabbitMQ(node, authority, folder)
        try:
            node.start()
            running.plain.wait_until_ready()
            yield running
        finally:
            node.close()

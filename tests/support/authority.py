"""A certificate authority of a test's own, and what it signs: made anew, trusted by nobody else."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from stompconsole.transport.session import Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A certificate and its key, as files."""

    cert_file: str
    key_file: str


class Authority:
    """Signs certificates; its own and theirs are files in ``folder``."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._ca = trustme.CA(organization_name=name)
        self._folder = folder
        self._name = name
        path = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(path)
        self.ca_file = str(path)

    def tls(self, **fields: object) -> Tls:
        """A client's side of TLS that trusts this authority; ``fields`` are those of Tls."""
        return Tls(ca_certs=self.ca_file, **fields)  # type: ignore[arg-type]

    def sign(self, *names: str, key_password: str = "") -> Signed:
        """A certificate for host names or addresses; its key is encrypted if there is a password."""
        certificate = self._ca.issue_cert(*names)
        stem = self._folder / f"{self._name}-{names[0]}"
        signed = Signed(cert_file=f"{stem}.pem", key_file=f"{stem}.key.pem")
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        Path(signed.cert_file).write_bytes(chain)
        key = certificate.private_key_pem.bytes()
        Path(signed.key_file).write_bytes(_encrypted(key, key_password) if key_password else key)
        return signed

    def pkcs12(self, *names: str, password: str) -> bytes:
        """A certificate and its key as Java takes them."""
        certificate = self._ca.issue_cert(*names)
        blobs = [x509.load_pem_x509_certificate(blob.bytes()) for blob in certificate.cert_chain_pems]
        key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
        encryption = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(b"broker", key, blobs[0], blobs[1:], encryption)  # type: ignore[arg-type]

    def server_context(self, *names: str, not_after: datetime | None = None) -> ssl.SSLContext:
        """The server's side of TLS with a certificate for these names, by default for this machine."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or ("127.0.0.1",)), not_after=not_after).configure_cert(context)
        return context


def _encrypted(key: bytes, password: str) -> bytes:
    return serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    )

"""Certificates made for a test: an authority of its own and a server it vouches for."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority, its certificate in a PEM file."""

    ca_file: str
    _key: Key
    _name: x509.Name
    _folder: Path

    def server_context(self, *, host: str = "127.0.0.1") -> ssl.SSLContext:
        """The server's side of TLS, with a certificate for ``host``, an IP address."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        certificate = _certificate(_named("broker"), key, self._name, self._key, names)
        chain = self._folder / f"{host}.pem"
        chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + _key_pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context


def authority(folder: Path, name: str = "authority") -> Authority:
    """A new authority whose files are in ``folder``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    is_authority = x509.BasicConstraints(ca=True, path_length=0)
    ca_file = folder / f"{name}.pem"
    certificate = _certificate(subject, key, subject, key, is_authority)
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(ca_file=str(ca_file), _key=key, _name=subject, _folder=folder)


def encrypted_key(folder: Path, password: bytes) -> str:
    """A PEM file with a private key that needs a password."""
    key = ec.generate_private_key(ec.SECP256R1())
    path = folder / "encrypted.pem"
    path.write_bytes(_key_pem(key, serialization.BestAvailableEncryption(password)))
    return str(path)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_pem(key: Key, encryption: serialization.KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption or serialization.NoEncryption()
    )


def _certificate(
    subject: x509.Name, key: Key, issuer: x509.Name, issuer_key: Key, extension: x509.ExtensionType
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    # From Python 3.13 on, verification is strict: who issued it, and what the key may be used for, must be said.
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=isinstance(extension, x509.BasicConstraints),
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(extension, critical=True)
        .add_extension(usage, critical=True)
        .add_extension(issued_by, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )

"""Certificates for tests: an authority of one's own, and what it signs."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

EVER = datetime(2000, 1, 1, tzinfo=UTC)
LATER = datetime(2100, 1, 1, tzinfo=UTC)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key for ECDSA."""
    return ec.generate_private_key(ec.SECP256R1())


def pem_of(key: CertificateIssuerPrivateKeyTypes, passphrase: bytes = b"") -> bytes:
    """A private key in PEM form."""
    locked = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass
class Files:
    """The two files of a pair."""

    certificate: Path
    key: Path

    def write(self, certificate: bytes, key: bytes) -> None:
        """Put a pair there in place of the one that is, the key first."""
        for path, data in ((self.key, key), (self.certificate, certificate)):
            draft = path.with_suffix(".new")
            draft.touch(0o600)
            draft.write_bytes(data)
            draft.replace(path)


class Authority:
    """Signs certificates; clients of a test trust it alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = new_key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of a test")])
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(EVER)
            .not_valid_after(LATER)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.path = folder / "authority.pem"
        self.path.write_bytes(self.pem)

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def sign(
        self,
        key: CertificateIssuerPrivateKeyTypes,
        *names: str,
        begins: datetime = EVER,
        ends: datetime = LATER,
    ) -> bytes:
        """A certificate in PEM form for `key`, made for `names` and addresses."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a door")]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if names:
            found = x509.SubjectAlternativeName([_alternative(name) for name in names])
            builder = builder.add_extension(found, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def pair(
        self,
        *names: str,
        begins: datetime = EVER,
        ends: datetime = LATER,
        files: Files | None = None,
    ) -> Files:
        """A new pair in its files; in place of the one in `files` if that is given."""
        files = files or Files(self._folder / "door.pem", self._folder / "door.key")
        key = new_key()
        files.write(self.sign(key, *names, begins=begins, ends=ends), pem_of(key))
        return files

    def trusting(self, *, least: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """What a client uses that trusts this authority and checks names."""
        context = ssl.create_default_context(cafile=str(self.path))
        if least is not None:
            context.minimum_version = least
        return context


def serial_of(certificate: bytes) -> int:
    """Which certificate it is, in DER form as a client sees it."""
    return x509.load_der_x509_certificate(certificate).serial_number


def days_from_now(days: float) -> datetime:
    """A time of day."""
    return datetime.now(UTC) + timedelta(days=days)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip

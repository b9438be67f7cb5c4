"""A certificate and its private key, read from two PEM files and checked before TLS sees them.

OpenSSL would ask a terminal for the passphrase of a locked key, and says of most faults no more
than that there is one; so all is looked at first. Knows no socket and no clock.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from aiplat.domain.errors import ConfigError
from aiplat.http.sources import IpAddress, plain_ip

Key = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
PublicKey = (
    ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
)

_MAX_BYTES = 1024 * 1024
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2 those that HTTP/2 allows (RFC 9113, appendix A); those of 1.3 are all good."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, ready for connections.

    Arguments:
        context: for the server's side of a connection.
        names: the DNS names in its subjectAltName, in lower case; also wildcards.
        ips: the addresses there.
        begins: when it begins to hold.
        ends: when it ends.
    """

    context: ssl.SSLContext
    names: tuple[str, ...]
    ips: tuple[IpAddress, ...]
    begins: datetime
    ends: datetime

    def covers(self, host: str) -> bool:
        """Whether it was made for `host`, a name or an address; ``*`` is one label (RFC 9525)."""
        ip = plain_ip(host)
        if ip is not None:
            return ip in self.ips
        label, _, rest = host.partition(".")
        return "*" not in host and (host in self.names or (label and f"*.{rest}") in self.names)


def read_pair(certificate: Path, key: Path, now: datetime) -> Pair:
    """Read and check a pair.

    Arguments:
        certificate: a PEM file; the server's own comes first, the chain behind it.
        key: a PEM file.
        now: the time of day, with its zone.

    Raises:
        ConfigError: a file is not there, is not what it should be, or may be read by others; the
            two do not fit; the certificate does not hold now. Says which, and the mend.
    """
    stamp = stamp_of(certificate, key)
    chain = _certificates(certificate)
    _check_key(key, chain, certificate)
    leaf = chain[0]
    _check_time(certificate, leaf, now)
    context = _context(certificate, key)
    if stamp_of(certificate, key) != stamp:
        raise ConfigError(f"{certificate} or {key} was changed while it was read: try again.")
    names, ips = _names(leaf)
    return Pair(context, names, ips, leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def stamp_of(*paths: Path) -> tuple[tuple[int, int, int] | None, ...]:
    """What changes when a file does; a link stands for what it leads to, None for nothing."""
    return tuple(_stamp(path) for path in paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_mtime_ns, info.st_ino, info.st_size


def _read(path: Path, what: str, *, private: bool) -> bytes:
    try:
        # Without O_NONBLOCK a pipe in the file's place would be waited for.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode):
                raise ConfigError(f"The TLS {what} {path} is no file. Name the PEM file itself.")
            if private:
                _check_private(path, info)
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"The TLS {what} {path} cannot be read: {error.strerror}. Mend that, or name another "
            f"file in http.tls_{what}."
        ) from None
    if len(data) > _MAX_BYTES:
        raise ConfigError(
            f"The TLS {what} {path} has {info.st_size} bytes, more than {_MAX_BYTES}: it is hardly "
            "the PEM file that is meant."
        )
    return data


def _check_private(path: Path, info: os.stat_result) -> None:
    """As of other secrets: the owner's alone."""
    if info.st_uid != os.geteuid():
        raise ConfigError(
            f"The TLS key {path} belongs to another account (uid {info.st_uid}): run "
            f"`chown {os.geteuid()} {path}`, or name a copy of your own in http.tls_key."
        )
    if info.st_mode & 0o077:
        raise ConfigError(
            f"The TLS key {path} may be read by others (mode {stat.S_IMODE(info.st_mode):04o}): "
            f"run `chmod 600 {path}`."
        )


def _certificates(path: Path) -> list[x509.Certificate]:
    data = _read(path, "certificate", private=False)
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ConfigError(
            f"{path} holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`). Name the "
            "file with the certificate and its chain in http.tls_certificate."
        ) from None


def _check_key(path: Path, chain: Sequence[x509.Certificate], certificate: Path) -> None:
    """See that the key is there, open, and that of the first certificate."""
    wanted = _public(_open_key(path).public_key())
    fitting = [_public(_key_of(each)) == wanted for each in chain]
    if not any(fitting):
        raise ConfigError(
            f"The TLS key {path} is not that of the certificate {certificate}. Name the two files "
            "that belong together."
        )
    if not fitting[0]:
        raise ConfigError(
            f"The certificate of the TLS key {path} is not the first in {certificate}. Put it "
            "first, and those that signed it behind it."
        )


def _open_key(path: Path) -> Key:
    data = _read(path, "key", private=True)
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except TypeError:
        raise ConfigError(
            f"The TLS key {path} is locked with a passphrase, which nobody is there to type. Write "
            f"an open copy for yourself alone, `umask 077; openssl pkey -in {path} -out NEW`, and "
            "name that one in http.tls_key."
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{path} holds no private key in PEM form that can be used (`-----BEGIN PRIVATE "
            "KEY-----`). Name the certificate's key in http.tls_key."
        ) from None
    if not isinstance(key, Key):
        raise ConfigError(
            f"The TLS key {path} is of a kind that no client takes. Use one for ECDSA, such as "
            "with the curve P-256, RSA or Ed25519."
        )
    return key


def _key_of(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _public(key: object) -> bytes:
    """A public key's bytes; none of one that is none of ours."""
    if not isinstance(key, PublicKey):
        return b""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _check_time(path: Path, leaf: x509.Certificate, now: datetime) -> None:
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now > ends:
        raise ConfigError(
            f"The TLS certificate {path} expired at {_shown(ends)}, and it is {_shown(now)} now. "
            "Get a new one, or set the clock."
        )
    if now < begins:
        raise ConfigError(
            f"The TLS certificate {path} holds only from {_shown(begins)} on, and it is "
            f"{_shown(now)} now. Wait for it, or set the clock."
        )


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    # A client could make the server work at will by asking for one new handshake after another.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        # An empty passphrase opens nothing, and keeps OpenSSL from asking the terminal for one.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as error:
        why = getattr(error, "reason", None) or error.strerror
        raise ConfigError(
            f"OpenSSL takes {certificate} with {key} for no good pair: {why}. Make a new one, such "
            "as with an ECDSA key on P-256."
        ) from None
    return context


def _names(leaf: x509.Certificate) -> tuple[tuple[str, ...], tuple[IpAddress, ...]]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.UnsupportedGeneralNameType, ValueError):
        return (), ()
    dns = [name.lower().rstrip(".") for name in names.get_values_for_type(x509.DNSName)]
    ips = [
        ip
        for ip in names.get_values_for_type(x509.IPAddress)
        if isinstance(ip, ipaddress.IPv4Address | ipaddress.IPv6Address)
    ]
    return tuple(dict.fromkeys(dns)), tuple(dict.fromkeys(ips))

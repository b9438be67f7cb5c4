"""A certificate and its key: what is taken, and what each fault is called."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiplat.domain.errors import ConfigError
from aiplat.http.pair import read_pair, stamp_of
from tests.support.certificates import Authority, Files, new_key, pem_of

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(authority: Authority) -> Files:
    return authority.pair("gpu.example", "*.lab.example", "192.0.2.7", "::1")


def refused(files: Files, now: datetime = NOW) -> str:
    with pytest.raises(ConfigError) as caught:
        read_pair(files.certificate, files.key, now)
    return str(caught.value)


@pytest.mark.parametrize(
    ("host", "is_covered"),
    [
        ("gpu.example", True),
        ("a.lab.example", True),
        ("192.0.2.7", True),
        ("::1", True),
        ("0:0:0:0:0:0:0:1", True),
        ("::ffff:192.0.2.7", True),
        ("example", False),
        ("lab.example", False),
        (".lab.example", False),
        ("a.b.lab.example", False),
        ("*.lab.example", False),
        ("gpu.example.evil", False),
        ("192.0.2.8", False),
        ("", False),
    ],
)
def test_the_names_that_it_was_made_for(files: Files, host: str, is_covered: bool) -> None:
    assert read_pair(files.certificate, files.key, NOW).covers(host) is is_covered


def test_one_without_names_covers_none(authority: Authority) -> None:
    files = authority.pair()
    pair = read_pair(files.certificate, files.key, NOW)
    assert (pair.names, pair.ips) == ((), ())
    assert not pair.covers("a door")


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_a_file_that_is_not_there(files: Files, which: str) -> None:
    path: Path = getattr(files, which)
    path.unlink()
    assert refused(files) == (
        f"The TLS {which} {path} cannot be read: No such file or directory. Mend that, or name "
        f"another file in http.tls_{which}."
    )


@pytest.mark.parametrize("which", ["certificate", "key"])
@pytest.mark.parametrize("content", [b"", b"nothing", b"\xff" * 100, b"-----BEGIN CERTIFICATE---"])
def test_a_file_that_is_not_pem(files: Files, which: str, content: bytes) -> None:
    path: Path = getattr(files, which)
    path.write_bytes(content)
    kind = "certificate" if which == "certificate" else "private key"
    assert f"{path} holds no {kind} in PEM form" in refused(files)


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_a_pipe_in_its_place_is_not_waited_for(files: Files, which: str) -> None:
    path: Path = getattr(files, which)
    path.unlink()
    os.mkfifo(path)
    assert f"{path} is no file" in refused(files)


def test_a_file_that_is_too_large(files: Files) -> None:
    with files.certificate.open("ab") as file:
        file.truncate(2**20 + 1)
    assert "has 1048577 bytes, more than 1048576" in refused(files)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_may_read(files: Files, mode: int) -> None:
    files.key.chmod(mode)
    assert refused(files) == (
        f"The TLS key {files.key} may be read by others (mode {mode:04o}): run "
        f"`chmod 600 {files.key}`."
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_of_another_account(files: Files) -> None:
    os.chown(files.key, 4242, -1)
    assert f"belongs to another account (uid 4242): run `chown 0 {files.key}`" in refused(files)


def test_a_key_of_another_certificate(files: Files) -> None:
    files.key.write_bytes(pem_of(new_key()))
    assert f"{files.key} is not that of the certificate {files.certificate}" in refused(files)


def test_a_chain_in_the_wrong_order(files: Files, authority: Authority) -> None:
    own = files.certificate.read_bytes()
    files.certificate.write_bytes(authority.pem + own)
    assert f"is not the first in {files.certificate}. Put it first" in refused(files)
    files.certificate.write_bytes(own + authority.pem)
    read_pair(files.certificate, files.key, NOW)


def test_one_that_has_expired(authority: Authority) -> None:
    files = authority.pair("x", ends=NOW)
    read_pair(files.certificate, files.key, NOW)
    assert (
        f"{files.certificate} expired at 2026-05-04 12:00:00 UTC, and it is "
        "2026-05-04 12:00:01 UTC now"
    ) in refused(files, NOW + timedelta(seconds=1))


def test_one_that_does_not_hold_yet(authority: Authority) -> None:
    files = authority.pair("x", begins=NOW)
    read_pair(files.certificate, files.key, NOW)
    assert "holds only from 2026-05-04 12:00:00 UTC on" in refused(files, NOW - DAY)


OLD_STYLE = serialization.PrivateFormat.TraditionalOpenSSL


def locked_keys() -> list[bytes]:
    key = new_key()
    locked = serialization.BestAvailableEncryption(b"secret")
    return [
        pem_of(key, b"secret"),
        key.private_bytes(serialization.Encoding.PEM, OLD_STYLE, locked),
    ]


@pytest.mark.parametrize("data", locked_keys(), ids=["PKCS8", "traditional"])
def test_a_locked_key_asks_nobody(files: Files, data: bytes) -> None:
    """In a process with a terminal of its own, which OpenSSL would ask: it ends by itself."""
    files.key.write_bytes(data)
    script = (
        "import os, sys; from datetime import datetime, UTC; from pathlib import Path;"
        "from aiplat.http.pair import read_pair; os.open(os.ttyname(0), os.O_RDWR);"
        "read_pair(Path(sys.argv[1]), Path(sys.argv[2]), datetime.now(UTC))"
    )
    person, terminal = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, str(files.certificate), str(files.key)],
            capture_output=True, text=True, timeout=60, check=False, stdin=terminal,
            start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(terminal)
        os.close(person)
    assert f"The TLS key {files.key} is locked with a passphrase" in done.stderr


def put(authority: Authority, files: Files, key: CertificateIssuerPrivateKeyTypes) -> None:
    files.write(authority.sign(key, "x"), pem_of(key))


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate(),
     rsa.generate_private_key(65537, 2048)],
    ids=["P-384", "Ed25519", "RSA"],
)  # fmt: skip
def test_the_kinds_of_keys_that_are_good(
    authority: Authority, files: Files, key: CertificateIssuerPrivateKeyTypes
) -> None:
    put(authority, files, key)
    assert read_pair(files.certificate, files.key, NOW).names == ("x",)


def test_a_key_that_no_client_takes(authority: Authority, files: Files) -> None:
    put(authority, files, dsa.generate_private_key(2048))
    assert "is of a kind that no client takes" in refused(files)


def test_one_that_openssl_refuses(authority: Authority, files: Files) -> None:
    put(authority, files, rsa.generate_private_key(65537, 1024))
    assert "for no good pair: EE_KEY_TOO_SMALL" in refused(files)


def test_certificate_and_key_may_be_one_file(files: Files) -> None:
    files.key.write_bytes(files.key.read_bytes() + files.certificate.read_bytes())
    pair = read_pair(files.key, files.key, NOW)
    assert pair.covers("gpu.example")


def test_links_are_followed_and_show_a_change(files: Files, tmp_path: Path) -> None:
    """As the tools that renew certificates do it: a name that leads to the newest."""
    link = tmp_path / "live.pem"
    link.symlink_to(files.certificate)
    before = stamp_of(link)
    read_pair(link, files.key, NOW)
    other = tmp_path / "other.pem"
    other.write_bytes(files.certificate.read_bytes())
    link.unlink()
    link.symlink_to(other)
    assert stamp_of(link) != before
    other.unlink()
    assert stamp_of(link) == (None,)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), key=st.booleans())
def test_whatever_is_wrong_in_a_file_is_said(
    files: Files, place: float, byte: int, key: bool
) -> None:
    path = files.key if key else files.certificate
    good = path.read_bytes()
    bad = bytearray(good)
    bad[int(place * len(bad))] = byte
    path.write_bytes(bad)
    said = ""
    try:
        read_pair(files.certificate, files.key, NOW)
    except ConfigError as fault:
        said = str(fault)
    finally:
        path.write_bytes(good)
    assert not said or str(path) in said

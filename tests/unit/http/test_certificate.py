"""A certificate that is shown: from the settings, and renewed when its files change."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from aiplat.domain.errors import ConfigError
from aiplat.http.certificate import Certificate, certificate_of
from aiplat.http.settings import HttpSettings
from tests.support.certificates import Authority, Files, new_key, pem_of

BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
ENDS = BEGINS + timedelta(days=100)


class Clock:
    def __init__(self) -> None:
        self.now = BEGINS + timedelta(days=1)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(authority: Authority) -> Files:
    return authority.pair("old", begins=BEGINS, ends=ENDS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shown(files: Files, clock: Clock, caplog: pytest.LogCaptureFixture) -> Certificate:
    caplog.set_level(logging.INFO, "aiplat.http.tls")
    return Certificate(files.certificate, files.key, clock)


def test_what_did_not_change_stays(shown: Certificate, caplog: pytest.LogCaptureFixture) -> None:
    pair = shown.pair
    assert not shown.renew()
    assert shown.pair is pair
    assert not caplog.messages


def test_a_new_pair_is_taken(
    shown: Certificate, authority: Authority, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    old = shown.pair
    authority.pair("new", begins=BEGINS, ends=ENDS + timedelta(days=1), files=files)
    assert shown.renew()
    assert shown.pair.names == ("new",)
    assert shown.pair.context is not old.context
    assert caplog.messages == ["the TLS certificate was renewed, until 2026-04-12 00:00 UTC"]
    assert not shown.renew()


def test_half_a_new_pair_waits_for_the_other_half(
    shown: Certificate, authority: Authority, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    old, key = shown.pair, new_key()
    files.write(authority.sign(key, "new"), files.key.read_bytes())
    for _ in range(3):
        assert not shown.renew()
    assert shown.pair is old
    assert [record.levelname for record in caplog.records] == ["ERROR"]  # said once
    assert "the old one is kept" in caplog.text
    assert "is not that of the certificate" in caplog.text
    files.write(files.certificate.read_bytes(), pem_of(key))
    assert shown.renew()
    assert shown.pair.names == ("new",)


def test_a_pair_from_tomorrow_on_is_taken_tomorrow(
    shown: Certificate, authority: Authority, files: Files, clock: Clock
) -> None:
    authority.pair("new", begins=clock.now + timedelta(days=1), ends=ENDS, files=files)
    assert not shown.renew()
    assert shown.pair.names == ("old",)
    clock.now += timedelta(days=1)
    assert shown.renew()


def test_files_that_are_gone_are_no_reason_to_end(
    shown: Certificate, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.key.unlink()
    assert not shown.renew()
    assert shown.pair.names == ("old",)
    assert "cannot be read: No such file" in caplog.text


def test_nor_is_a_fault_that_nobody_foresaw(
    shown: Certificate, authority: Authority, files: Files, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(*_: object) -> None:
        raise ZeroDivisionError("sk-secret")

    monkeypatch.setattr("aiplat.http.certificate.read_pair", fail)
    authority.pair("new", files=files)
    assert not shown.renew()
    assert "kept: ZeroDivisionError" in caplog.text
    assert "sk-secret" not in caplog.text


@pytest.mark.parametrize(
    ("day", "level", "words"),
    [(89, "", ""), (91, "WARNING", "ends at 2026-04-11"), (101, "ERROR", "expired at 2026-04-11")],
)
def test_its_end_is_spoken_of(
    shown: Certificate, clock: Clock, caplog: pytest.LogCaptureFixture,
    day: int, level: str, words: str,
) -> None:  # fmt: skip
    clock.now = BEGINS + timedelta(days=day)
    shown.renew()
    shown.renew()
    assert [record.levelname for record in caplog.records] == [level] * bool(level)
    assert words in caplog.text


async def test_it_is_looked_at_again_and_again(authority: Authority, files: Files) -> None:
    shown = Certificate(files.certificate, files.key, Clock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shown.watch, 0.01)
        for name in ("new", "newer"):
            authority.pair(name, files=files)
            with trio.fail_after(30):
                while shown.pair.names != (name,):
                    await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


# -- from the settings -------------------------------------------------------------------------


def test_without_files_there_is_none() -> None:
    assert certificate_of(HttpSettings()) is None
    assert certificate_of(HttpSettings(plain_beyond_loopback=True)) is None


def test_the_files_of_the_settings(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = authority.pair("x")
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = HttpSettings(tls_certificate=str(files.certificate), tls_key="~/door.key")
    made = certificate_of(settings)
    assert made is not None
    assert made.pair.names == ("x",)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (HttpSettings(tls_certificate="/a"),
         "http.tls_certificate is set and http.tls_key is not, but TLS needs both"),
        (HttpSettings(tls_key="/a"),
         "http.tls_key is set and http.tls_certificate is not, but TLS needs both"),
        (HttpSettings(tls_certificate="/a", tls_key="/b", plain_beyond_loopback=True),
         "Leave one of the two out"),
        (HttpSettings(tls_certificate="a.pem", tls_key="/b"),
         "must be the whole path of a file, such as /etc/aiplat/tls.pem, but is 'a.pem'"),
        (HttpSettings(tls_certificate="~nobody-of-that-name/a.pem", tls_key="/b"), "whole path"),
        (HttpSettings(tls_certificate="/a\0b", tls_key="/b"), "whole path"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together(settings: HttpSettings, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        certificate_of(settings)
    assert words in str(caught.value)

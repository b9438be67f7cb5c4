"""What is not kept, and what stops everything: bounds, a broken index, another at work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiplat.credentials.files import locked
from aiplat.credentials.held import Held
from aiplat.credentials.index import MAX_ENTRIES, Index, IndexFile
from aiplat.domain.errors import ConfigError, DeadlineExceeded, InvalidRequest

from .fake_keyring import (
    GATEWAY,
    SECRET,
    FakeKeyring,
    credentials,
    key,
    no_keyring,
)


@pytest.mark.parametrize(
    "wrong",
    [
        key(kind="door"),
        key(""),
        key("a b"),
        key("a\n"),
        key("x" * 101),
        key(gateways=()),
        key(gateways=(GATEWAY,) * 17),
        key(gateways=("gate way",)),
        key(name="x" * 201),
        key(user="\x1b[31m"),
        key(made=-1),
        key(expires=2**53),
    ],
)
def test_a_field_out_of_its_bounds_is_refused_and_nothing_kept(tmp_path: Path, wrong: Held) -> None:
    keyring = FakeKeyring()
    with pytest.raises(InvalidRequest, match=r"A credential's .* must be "):
        credentials(tmp_path, keyring).keep(wrong, SECRET)
    assert not keyring.kept
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("secret", ["", "two words", "line\n", "sécret", "x" * 4097, "nul\x00"])
def test_what_is_no_secret_is_refused_and_not_said_again(tmp_path: Path, secret: str) -> None:
    keyring = FakeKeyring()
    with pytest.raises(InvalidRequest, match=f"1 to 4096 .* has {len(secret)} ") as caught:
        credentials(tmp_path, keyring).keep(key(), secret)
    assert not secret or secret not in str(caught.value)
    assert not keyring.kept
    credentials(tmp_path, keyring).keep(key(), "x" * 4096)


def test_a_full_index_refuses_before_a_key_is_made(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    ours = credentials(tmp_path, keyring)
    many = tuple(key(f"k{n}") for n in range(MAX_ENTRIES))
    IndexFile(tmp_path / "credentials.json").write(Index(held=many))
    for attempt in (ours.check, lambda: ours.keep(key("more"), SECRET)):
        with pytest.raises(ConfigError, match=f"lists {MAX_ENTRIES} credentials.*`aiplat keys"):
            attempt()
    assert not keyring.kept
    ours.keep(key("k5", name="anew"), SECRET)  # it takes no more room
    ours.forget("key", "k7")
    ours.check()
    ours.keep(key("more"), SECRET)
    assert len(ours.held()) == MAX_ENTRIES


def test_plain_text_beyond_its_bound_is_refused_and_what_was_kept_stays(tmp_path: Path) -> None:
    ours = credentials(tmp_path, no_keyring())
    ours.keep(key(), SECRET, insecure=True)
    path = tmp_path / "credentials-secrets.json"
    filler = {f"key:k{n}": '"' * 4096 for n in range(511)}
    whole = json.dumps({"secrets": {"key:abc": SECRET} | filler, "version": 1})
    path.write_text(whole)
    assert len(whole) < 4 * 1024 * 1024
    with pytest.raises(ConfigError, match=r"would have more than 4194304 bytes"):
        ours.keep(key("last"), '"' * 4096, insecure=True)
    assert path.read_text() == whole
    assert [h.id for h in ours.held()] == ["abc"]


def test_a_broken_index_stops_everything_and_is_left_as_it_is(tmp_path: Path) -> None:
    keyring, path = FakeKeyring(), tmp_path / "credentials.json"
    path.write_text("{")
    path.chmod(0o600)
    ours = credentials(tmp_path, keyring)
    for attempt in (
        ours.held,
        ours.check,
        lambda: ours.keep(key(), SECRET),
        lambda: ours.forget("key", "abc"),
        lambda: ours.for_gateway(GATEWAY, "key"),
    ):
        with pytest.raises(ConfigError, match=f"{path} is broken .*put a copy back, or move it"):
            attempt()
    report = ours.report()
    assert not report.usable and f"{path} is broken" in report.reason
    assert path.read_text() == "{"
    assert not keyring.kept


def test_an_index_that_others_may_read_is_refused(tmp_path: Path) -> None:
    ours = credentials(tmp_path, FakeKeyring())
    ours.keep(key(), SECRET)
    (tmp_path / "credentials.json").chmod(0o604)
    with pytest.raises(ConfigError, match=r"may be read by others \(mode 0604\)"):
        ours.held()


def test_another_process_that_holds_the_lock_is_waited_for_with_a_deadline(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    credentials(tmp_path, keyring).keep(key(), SECRET)
    keyring.calls.clear()
    ours = credentials(tmp_path, keyring, seconds=0.02)
    ours._vault._trusted = keyring  # such a short time is none for a trial
    with locked(tmp_path / "credentials.lock", 0):
        for attempt in (
            ours.check,
            lambda: ours.keep(key("other"), SECRET),
            lambda: ours.forget("key", "abc"),
        ):
            with pytest.raises(DeadlineExceeded, match=r"credentials\.lock for 0\.1 s: try again"):
                attempt()
        assert [h.id for h in ours.held()] == ["abc"]  # who only reads needs no lock
    assert keyring.calls == []

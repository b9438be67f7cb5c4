"""Secret and index are two stores: a crash between leaves no secret that nobody deletes."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.credentials import index as index_module
from aiplat.credentials.credentials import Credentials
from aiplat.credentials.index import Index, IndexFile

from .fake_keyring import (
    SECRET,
    SERVICE,
    FakeKeyring,
    credentials,
    key,
)


class Killed(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("write", [1, 2])
def test_a_crash_while_keeping_leaves_no_secret_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    keyring, real, writes = FakeKeyring(), IndexFile.write, []

    def dying(self: IndexFile, index: Index) -> None:
        writes.append(index)
        if len(writes) == write:
            raise Killed
        real(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(index_module.IndexFile, "write", dying)
        with pytest.raises(Killed):
            credentials(tmp_path, keyring).keep(key(), SECRET)
    assert len(keyring.kept) == write - 1  # no secret before its place was noted
    later = credentials(tmp_path, keyring)
    assert later.held() == ()
    later.keep(key("other"), "other")
    assert list(keyring.kept) == [(SERVICE, "key:other")]
    assert later.report().left == 0


def test_a_crash_while_an_old_secret_is_replaced_keeps_it_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = FakeKeyring()
    ours = credentials(tmp_path, keyring)
    ours.keep(key(), "old")

    def dying(self: IndexFile, index: Index) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(index_module.IndexFile, "write", dying)
        with pytest.raises(Killed):
            ours.keep(key(), "new")
    ours.forget("key", "whatever")
    assert ours.secret_of(key()) == "new"


def test_a_crash_while_forgetting_leaves_a_secret_to_delete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = FakeKeyring()
    ours = credentials(tmp_path, keyring)
    ours.keep(key(), SECRET)

    def dying(self: Credentials, index: Index) -> Index:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Credentials, "_clean", dying)
        with pytest.raises(Killed):
            ours.forget("key", "abc")
    assert ours.held() == () and keyring.kept
    ours.keep(key("other"), SECRET)
    assert list(keyring.kept) == [(SERVICE, "key:other")]


def test_a_secret_of_a_crash_can_be_kept_again(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    IndexFile(tmp_path / "credentials.json").write(Index(left=(key().place,)))
    keyring.kept[SERVICE, "key:abc"] = "half"
    ours = credentials(tmp_path, keyring)
    ours.keep(key(), SECRET)
    assert ours.secret_of(key()) == SECRET
    assert ours.report().left == 0

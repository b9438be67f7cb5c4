"""The index and the file of plain text: what is broken is said, with the file and the mend."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from aiplat.credentials.files import write_private
from aiplat.credentials.index import MAX_ENTRIES, Index, IndexFile
from aiplat.credentials.plain import PlainFile, _Secrets
from aiplat.domain.errors import ConfigError

from .fake_keyring import SECRET, key

ONE = {"kind": "key", "id": "a", "gateways": ["g"]}
DEEP = b'{"more": ' + b"[" * 100_000


def broken(**index: object) -> bytes:
    return json.dumps(index).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "Expected `object`"),
        (DEEP, "recursion"),
        (broken(held=[{"kind": "key"}]), "missing required field `id`"),
        (broken(held=[ONE | {"kind": "door"}]), "kind"),
        (broken(held=[ONE | {"where": "cloud"}]), "where"),
        (broken(held=[ONE | {"id": "../a"}]), "id must be"),
        (broken(held=[ONE | {"gateways": []}]), "gateways must be"),
        (broken(held=[ONE, ONE]), "a credential twice"),
        (broken(held=[ONE], left=[{"kind": "key", "id": "a", "where": "keyring"}]), "to empty"),
        (broken(held=[ONE | {"id": f"k{n}"} for n in range(MAX_ENTRIES + 1)]), "more than 1000"),
        (broken(version=2), "version is 2, and this aiplat reads 1"),
    ],
)
def test_a_broken_index_is_named_with_what_is_wrong(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "index.json"
    write_private(path, content)
    with pytest.raises(ConfigError, match=rf"{path} is broken \(.*{why}.*\): put a copy back"):
        IndexFile(path).read()
    assert path.read_bytes() == content


def test_an_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = IndexFile(tmp_path / "index.json")
    assert file.read() == Index()
    whole = Index(held=(key("a", name="Ünï", expires=5),), left=(key("b").place,))
    file.write(whole)
    assert file.read() == whole


def test_an_index_of_the_largest_entries_fits_its_file(tmp_path: Path) -> None:
    file = IndexFile(tmp_path / "index.json")
    largest = {"gateways": ("g" * 100,) * 16, "name": "💾" * 200, "user": "\\" * 200}
    times = {"made": 2**53 - 1, "expires": 2**53 - 1}
    held = tuple(key(f"{n:0100}", **largest, **times) for n in range(MAX_ENTRIES))
    file.write(Index(held=held))
    assert file.read().held == held
    with pytest.raises(ConfigError, match="lists 1000 credentials, which is its bound"):
        file.write(Index(held=held, left=(key("more").place,)))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "truncated"),
        (DEEP, "recursion"),
        (broken(secrets={"key:a": 5}), "Expected `str`"),
        (broken(secrets=[SECRET]), "Expected `object`"),
        (broken(secrets={"key:a": SECRET}, version=3), "version is 3"),
    ],
)
def test_a_broken_file_of_secrets_is_named_and_none_is_said(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "secrets.json"
    write_private(path, content)
    file = PlainFile(path)
    for attempt in (
        file.ready,
        partial(file.get, "key:a"),
        partial(file.put, "key:b", "new"),
        partial(file.drop, ["key:a"]),
    ):
        with pytest.raises(ConfigError, match=rf"{path} is broken \(.*{why}.*\)") as caught:
            attempt()
        assert SECRET not in str(caught.value)
    assert path.read_bytes() == content


def test_the_other_secrets_stay(tmp_path: Path) -> None:
    file = PlainFile(tmp_path / "secrets.json")
    for name in "abc":
        file.put(name, SECRET + name)
    file.put("b", "new")
    file.drop(["a", "nobody"])
    assert [file.get(name) for name in "abc"] == [None, "new", SECRET + "c"]
    before = file.path.stat().st_ino
    file.drop(["nobody"])
    assert file.path.stat().st_ino == before  # nothing to write
    file.drop(["b", "c"])
    assert not file.path.exists()


def test_secrets_are_not_in_a_repr() -> None:
    assert SECRET not in repr(_Secrets(secrets={"key:a": SECRET}))

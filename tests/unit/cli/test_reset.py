"""`aiplat reset` and the keyring: it is listed, emptied first, and holds up nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiplat.cli import main
from aiplat.credentials import credentials as credentials_module
from aiplat.node.identity import load_or_create
from aiplat.runtime import reset as removing
from aiplat.runtime.places import find_places
from tests.unit.credentials.fake_keyring import SECRET, FakeKeyring, credentials, key, no_keyring

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    """A home with a key in this keyring."""
    monkeypatch.setenv("AIPLAT_HOME", str(tmp_path / "h"))
    monkeypatch.setenv("AIPLAT_CACHE", str(tmp_path / "c"))
    places, ring = find_places(str(tmp_path / "h"), {}), FakeKeyring()
    places.prepare()
    credentials(places.data, ring, node=load_or_create(places.identity).peer_id).keep(key(), SECRET)
    monkeypatch.setattr(
        credentials_module, "Credentials",
        lambda node, folder: credentials(folder, ring, node=node),
    )  # fmt: skip
    return ring


@pytest.mark.parametrize("how", ["--identity", "--all"])
def test_the_keyring_is_listed_and_emptied_before_the_identity_goes(
    how: str, ring: FakeKeyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    removed: list[int] = []
    remove = removing.remove

    def look(removals: list[removing.Removal]) -> None:
        removed.append(len(ring.kept))
        remove(removals)

    monkeypatch.setattr(removing, "remove", look)
    assert main.run(["reset", how]) == 2, "nobody can be asked"
    assert ring.kept, "what was not confirmed is not done"
    assert main.run(["reset", how, "--yes", "--json"]) == 0
    said = capsys.readouterr()
    assert "1 secret  the keyring, under aiplat:12D3" in said.err
    assert (removed, ring.kept) == ([0], {})
    told = json.loads(said.out)
    assert (told["secrets"], told["problem"]) == (1, "")
    assert not (tmp_path / "h" / "data" / "identity.key").exists()


def test_without_the_identity_the_keyring_stays(ring: FakeKeyring, capsys: Capture) -> None:
    assert main.run(["reset", "--data", "--models", "--yes"]) == 0
    assert len(ring.kept) == 1
    assert "keyring" not in capsys.readouterr().err


@pytest.mark.parametrize("broken", ["keyring", "index", "identity"])
def test_what_cannot_be_emptied_is_told_and_the_reset_goes_on(
    broken: str, ring: FakeKeyring, tmp_path: Path, capsys: Capture
) -> None:
    data = tmp_path / "h" / "data"
    why = "the keyring, under aiplat:"
    if broken == "keyring":
        ring.before = no_keyring().before
    elif broken == "index":
        (data / "credentials.json").write_text("{")
        why = "credentials.json is broken"
    else:
        (data / "identity.key").write_bytes(b"short")
        why = "identity.key is no key"
    assert main.run(["reset", "--all", "--yes", "--json"]) == 0
    said = capsys.readouterr()
    assert why in said.err.replace("\n", " ")
    told = json.loads(said.out)
    assert (told["secrets"], len(ring.kept)) == (0, 1)
    assert "keyring" in told["problem"]
    assert not data.exists()

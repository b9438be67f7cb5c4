"""What `reset` removes, and what it never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.credentials import credentials as credentials_module
from aiplat.credentials.backends import Backend
from aiplat.domain.errors import ConfigError
from aiplat.node.identity import load_or_create
from aiplat.runtime.places import Places, find_places
from aiplat.runtime.reset import in_keyring, leave, plan, readable, remove
from tests.unit.credentials.fake_keyring import (
    SECRET,
    FakeKeyring,
    Hanging,
    credentials,
    key,
    no_keyring,
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = find_places(str(tmp_path / "h"), {"AIPLAT_CACHE": str(tmp_path / "c")})
    made.prepare()
    for path in (made.identity, made.known_peers, made.token, made.log, made.config_file,
                 made.node_lock, made.data / "network.key", made.series,
                 made.data / "series.db-wal", made.history, made.data / "history.db-wal",
                 made.data / "history.db.broken-1", made.stored,
                 made.data / "stored.db-wal"):  # fmt: skip
        path.write_text("12345")
    (made.models / "m").mkdir(parents=True)
    (made.models / "m" / "weights").write_bytes(b"x" * 1500)
    (made.cache / "foreign").write_text("not ours")
    return made


def files(places: Places) -> set[str]:
    assert places.home is not None
    root = places.home.parent
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def run(places: Places, *, models: bool = False, data: bool = False, all_: bool = False) -> int:
    removals = plan(places, models=models, data=data, everything=all_)
    remove(removals)
    return sum(removal.size for removal in removals)


def test_models_only(places: Places) -> None:
    before = files(places)
    assert run(places, models=True) == 1500
    assert before - files(places) == {"c/models/m/weights"}


def test_data_leaves_identity_network_keys_settings_and_models(places: Places) -> None:
    assert run(places, data=True) == 50
    assert files(places) == {
        "h/config.toml", "h/data/identity.key", "h/data/network.key", "h/state/node.lock",
        "c/models/m/weights", "c/foreign",
    }  # fmt: skip


def test_all_leaves_what_is_not_ours(places: Places) -> None:
    run(places, all_=True)
    leave(places)
    assert files(places) == {"c/foreign"}
    assert not places.home or not places.home.exists()
    assert plan(places, models=True, data=True, everything=True) == []


def test_links_are_removed_not_followed(places: Places, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "f").write_text("x" * 5000)
    (places.state / "link").symlink_to(kept)
    assert run(places, data=True) < 1000
    assert (kept / "f").exists()
    assert not (places.state / "link").exists()


def test_what_cannot_be_removed_is_named(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    removals = plan(places, models=False, data=True, everything=False)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ConfigError, match="cannot be removed: Permission denied"):
        remove(removals)


# -- the keyring -----------------------------------------------------------------------------------


def keeping(
    places: Places, keyring: Backend, monkeypatch: pytest.MonkeyPatch, *, seconds: float = 60.0
) -> FakeKeyring:
    """A home with two secrets in a keyring and one in the file; then `keyring` is what answers."""
    places.identity.unlink(missing_ok=True)
    peer, good = load_or_create(places.identity).peer_id, FakeKeyring()
    kept = credentials(places.data, good, node=peer)
    kept.keep(key("abc"), SECRET)
    kept.keep(key("ses", kind="session"), SECRET)
    credentials(places.data, no_keyring(), node=peer).keep(key("plain"), SECRET, insecure=True)
    monkeypatch.setattr(
        credentials_module, "Credentials",
        lambda node, folder: credentials(folder, keyring, node=node, seconds=seconds),
    )  # fmt: skip
    return good


def test_what_is_in_the_keyring_goes_with_the_identity(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = FakeKeyring()
    good = keeping(places, ring, monkeypatch)
    ring.kept = good.kept | {("aiplat:another", "key:abc"): SECRET}
    found = in_keyring(places)
    assert found is not None
    peer = load_or_create(places.identity).peer_id
    assert (found.count, found.where) == (2, f"the keyring, under aiplat:{peer}")
    assert found.empty() == ""
    assert set(ring.kept) == {("aiplat:another", "key:abc")}, "another home's stays"
    assert in_keyring(places) is None
    held = credentials(places.data, ring, node=peer).held()
    assert [one.id for one in held] == ["plain"], "the file's are of use to any identity"


@pytest.mark.parametrize(
    ("keyring", "why"),
    [(no_keyring(), "The keyring cannot be reached (OSError)."),
     (Hanging(), "The keyring did not answer within 0.05 s")],
)  # fmt: skip
def test_a_keyring_that_does_not_work_is_told_and_holds_up_no_reset(
    keyring: FakeKeyring, why: str, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = keeping(places, keyring, monkeypatch, seconds=0.05)
    found = in_keyring(places)
    assert found is not None
    said = found.empty()
    if isinstance(keyring, Hanging):
        keyring.answer.set()
    assert said.startswith(why)
    assert f"secrets stay in the keyring, under {found.credentials.service}" in said
    assert len(good.kept) == 2


def test_a_home_that_kept_nothing_has_no_keyring_tried_and_no_identity_made(
    places: Places, tmp_path: Path
) -> None:
    assert in_keyring(places) is None
    fresh = find_places(str(tmp_path / "new"), {})
    assert in_keyring(fresh) is None
    assert not fresh.identity.exists()


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (545_000_000, "545.0 MB"),
     (2e12, "2.0 TB")],
)  # fmt: skip
def test_sizes_are_readable(size: int, text: str) -> None:
    assert readable(size) == text

"""What `reset` removes, and what it never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.domain.errors import ConfigError
from aiplat.runtime.places import Places, find_places
from aiplat.runtime.reset import leave, plan, readable, remove


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = find_places(str(tmp_path / "h"), {"AIPLAT_CACHE": str(tmp_path / "c")})
    made.prepare()
    for path in (made.identity, made.known_peers, made.token, made.log, made.config_file,
                 made.node_lock, made.data / "network.key", made.series,
                 made.data / "series.db-wal"):  # fmt: skip
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
    assert run(places, data=True) == 25
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


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (545_000_000, "545.0 MB"),
     (2e12, "2.0 TB")],
)  # fmt: skip
def test_sizes_are_readable(size: int, text: str) -> None:
    assert readable(size) == text

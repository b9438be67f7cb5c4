"""The models that a machine has or could have, and what a face may have done with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.control.machine import KnownModel, PullWish, ServeWish
from aiplat.control.messages import Done
from aiplat.domain.errors import ConfigError, InvalidRequest, ModelNotFound
from aiplat.engine import store
from aiplat.engine.catalogue import DEFAULT_MODEL, SMOLLM2
from aiplat.runtime import engines as making
from aiplat.runtime import shelf as shelf_module
from aiplat.runtime.places import Places, find_places
from aiplat.runtime.pulls import Pulls
from aiplat.runtime.shelf import ModelShelf
from tests.support.tiny_model import make_tiny_model
from tests.unit.runtime.test_own_models import pulled
from tests.unit.runtime.test_served import Node


class Begun(Pulls):
    """Only remembers."""

    def __init__(self) -> None:
        self.wishes: list[tuple[str, bool]] = []
        self.cancelled: list[str] = []

    def told(self) -> tuple[()]:
        return ()

    def begin(self, model: str, *, serve: bool) -> Done:
        self.wishes.append((model, serve))
        return Done(message="It is.")

    def cancel(self, model: str) -> Done:
        self.cancelled.append(model)
        return Done(message="It ends.")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = find_places(str(tmp_path / "h"), {"AIPLAT_CACHE": str(tmp_path / "c")})
    found.prepare()
    pulled(found.cache, "org/a")
    pulled(found.cache, "org/b")
    return found


@pytest.fixture(autouse=True)
def can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (making, shelf_module):
        monkeypatch.setattr(module, "can_run_models", lambda: True)


def shelf_of(places: Places, *models: str) -> tuple[ModelShelf, Begun, Node]:
    node, begun = Node(places, *models), Begun()
    return ModelShelf(node.own, node.served, begun, places.cache, lambda: 512), begun, node


async def test_what_is_served_what_lies_here_and_what_is_known(
    places: Places, tmp_path: Path
) -> None:
    local = make_tiny_model(tmp_path / "mine")
    shelf, _, _ = shelf_of(places, "echo", "org/b", str(local))
    shown = await shelf.shown()
    echo, b, mine, a, default, embeds = shown.models
    assert echo == KnownModel(name="echo", here=True, served=True, note="ready")
    assert (b.name, b.bytes, b.here, b.served) == ("org/b", 1000, True, True)
    assert (mine.name, mine.bytes, mine.here) == ("mine", store.size_of(local), True)
    assert mine.note == "it is loaded when it is asked for"
    assert (a.name, a.bytes, a.here, a.served) == ("org/a", 1000, True, False)
    assert (default.name, default.bytes, default.here) == (
        DEFAULT_MODEL,
        SMOLLM2.wheel_bytes,
        False,
    )
    assert "596 MiB on the disk" in default.note
    assert embeds.name == "all-minilm-l6-v2"
    assert embeds.note == "makes embeddings; Apache-2.0; whole weights; it takes 88 MiB on the disk"
    assert shown.memory_bytes == 512 * 1024 * 1024
    assert shown.free_bytes > 0
    assert shown.cache == str(places.cache)


async def test_the_conversion_of_a_local_file_is_shown_by_the_name_that_serves_it(
    places: Places,
) -> None:
    folder = pulled(places.cache, "org/a-file")
    target = folder.rename(store.models_folder(places.cache) / "local--tiny--0123")
    store.write_manifest(
        target,
        store.Stored(name="tiny", weights="w", tokenizer="t", template="m", recipe=2, context=64,
                     vocabulary=9, bytes=7, source="/models/tiny.gguf"),
    )  # fmt: skip
    shelf, _, _ = shelf_of(places, "echo")
    assert "/models/tiny.gguf" in [model.name for model in (await shelf.shown()).models]


async def test_a_pull_is_begun_by_its_own_name(places: Places, tmp_path: Path) -> None:
    shelf, begun, _ = shelf_of(places, "echo")
    await shelf.pull(PullWish(model="SmolLM2"))
    await shelf.pull(PullWish(model="org/c@v2:f.gguf", serve=False))
    await shelf.pull(PullWish(model=str(tmp_path / "x.gguf")))
    assert begun.wishes == [
        (DEFAULT_MODEL, True), ("org/c@v2:f.gguf", False), (str(tmp_path / "x.gguf"), True),
    ]  # fmt: skip
    await shelf.pull(PullWish(model="smollm2", cancel=True))
    assert begun.cancelled == [DEFAULT_MODEL]


async def test_what_no_pull_is_begun_for(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, begun, node = shelf_of(places, "echo")
    with pytest.raises(InvalidRequest, match="echo is always here"):
        await shelf.pull(PullWish(model="echo"))
    with pytest.raises(ModelNotFound, match="nonsense"):
        await shelf.pull(PullWish(model="nonsense"))
    with pytest.raises(InvalidRequest, match="whole path"):
        await shelf.pull(PullWish(model="./x.gguf"))
    node.options = node.options.__class__(roles=("client",))
    with pytest.raises(InvalidRequest, match="no processor"):
        await shelf.pull(PullWish(model="org/c"))
    await shelf.pull(PullWish(model="org/c", serve=False))  # it is there for other nodes
    monkeypatch.setattr(shelf_module, "can_run_models", lambda: False)
    with pytest.raises(ConfigError, match="not installed"):
        await shelf.pull(PullWish(model="org/d", serve=False))
    assert begun.wishes == [("org/c", False)]


async def test_one_is_offered_and_no_more(places: Places) -> None:
    shelf, _, node = shelf_of(places, "echo")
    await shelf.serve(ServeWish(model="org/a"))
    assert node.offered == ["echo", "org/a"]
    await shelf.removed("org/a")
    assert node.chosen.read() == ()
    async with node.running():
        await shelf.serve(ServeWish(model="org/a", off=True))
    assert node.offered == ["echo"]

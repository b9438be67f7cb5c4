"""What a node shows and removes of the models on its own machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.control.messages import ModelStatus
from aiplat.domain.errors import InvalidRequest, ModelNotFound
from aiplat.domain.ids import PeerId
from aiplat.engine import store
from aiplat.engine.filelock import shared
from aiplat.engine.garage import Garage
from aiplat.engine.hub_pull import partial_folder
from aiplat.engine.process import EngineProcess
from aiplat.engine.removing import on_disk
from aiplat.engine.settings import EngineSettings
from aiplat.engine.uses import note_use
from aiplat.roles.processor import Processor
from aiplat.runtime.options import ServeOptions
from aiplat.runtime.own_models import OwnModels, lying_here
from aiplat.runtime.pulling import served_by
from aiplat.telemetry.metrics import Metrics


def pulled(cache: Path, name: str) -> Path:
    folder = store.place(name, cache)[1]
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    stored = store.Stored(
        name=name, weights="w", tokenizer="t", template="m", recipe=0, context=64, vocabulary=9,
        bytes=1000,
    )  # fmt: skip
    store.write_manifest(folder, stored)
    return folder


def node(cache: Path, *names: str) -> tuple[OwnModels, Processor]:
    settings, metrics = EngineSettings(), Metrics()
    garage = Garage(settings)
    engines = [
        EngineProcess(
            name, store.place(name, cache)[1], cache, settings, cache / "log", metrics,
            garage=garage,
        )
        for name in names
    ]  # fmt: skip
    processor = Processor(PeerId("p"), engines)
    return OwnModels(processor, engines, cache), processor


async def test_shown_and_removed(tmp_path: Path) -> None:
    for name in ("org/first", "org/second", "org/third"):
        pulled(tmp_path, name)
    note_use(store.place("org/second", tmp_path)[1], tmp_path)
    own, processor = node(tmp_path, "org/first", "org/second")
    offers = {offer.name: offer for offer in processor.announcement.models}
    assert not offers["org/first"].cold
    assert offers["org/second"].cold
    known = (
        ModelStatus(name="org/second", state="loading", cold=True, processors=1),
        ModelStatus(name="elsewhere", state="ready", processors=1),
    )
    listed = await own.shown(known)
    (second, elsewhere), (first, third) = listed.models, listed.on_disk
    assert (second.state, second.bytes, second.last_used > 0) == ("cold", 1000, True)
    assert elsewhere == known[1]
    assert (first.name, third.name, third.state) == ("org/first", "org/third", "on disk")

    with pytest.raises(InvalidRequest, match="org/first is loading on this node"):
        await own.remove("org/first")
    lock = store.use_of(store.place("org/second", tmp_path)[1])
    with shared(lock), pytest.raises(InvalidRequest, match="is in use"):  # by another node
        await own.remove("org/second")
    assert len(processor.announcement.models) == 2
    done = await own.remove("org/second")
    assert "org/second is removed; 1 MiB are free" in done.message
    assert [offer.name for offer in processor.announcement.models] == ["org/first"]
    assert [model.name for model in lying_here(tmp_path)] == ["org/first", "org/third"]
    with pytest.raises(ModelNotFound, match=r"no model 'org/sec' on this machine.*org/"):
        await own.remove("org/sec")


def test_what_an_interrupted_pull_left_can_go_too(tmp_path: Path) -> None:
    folder = partial_folder(store.place("org/half", tmp_path)[1])
    folder.mkdir(parents=True)
    (folder / "model.safetensors.part").write_bytes(b"x" * 500)
    assert on_disk("org/half", tmp_path) == ("org/half", [folder], 500)
    assert store.pulled(tmp_path) == []


def test_pulled_models_are_served_when_that_is_wanted(tmp_path: Path) -> None:
    pulled(tmp_path, "org/a")
    options = ServeOptions(roles=("processor",), models=("echo",))
    assert served_by(options, EngineSettings(), tmp_path) == ("echo",)
    assert served_by(options, EngineSettings(serve_pulled=True), tmp_path) == ("echo", "org/a")

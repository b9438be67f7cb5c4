"""Names and folders: what is loaded, what is refused and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.domain.errors import ConfigError, ModelNotFound, NotReady
from aiplat.engine import store
from aiplat.engine.backends.echo import EchoEngine
from aiplat.engine.catalogue import DEFAULT_MODEL, EMBEDDED
from aiplat.engine.factory import make_engine
from aiplat.engine.folders import describe_folder
from aiplat.engine.process import EngineProcess
from aiplat.engine.settings import EngineSettings
from aiplat.telemetry.metrics import Metrics

pytest.importorskip("safetensors.numpy")

from tests.support.tiny_model import CONTEXT, make_tiny_model  # needs safetensors


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_tiny_model(tmp_path / "my tiny model")


def made(name: str, tmp_path: Path, echo_rate: float = 0.0) -> object:
    return make_engine(
        name, EngineSettings(echo_rate=echo_rate), tmp_path / "cache", tmp_path / "logs", Metrics()
    )


def test_an_engine_for_each_kind_of_name(tiny: Path, tmp_path: Path) -> None:
    assert isinstance(made("echo", tmp_path, echo_rate=5.0), EchoEngine)
    local = made(str(tiny), tmp_path)
    assert isinstance(local, EngineProcess)
    assert local.name == "my-tiny-model"
    with pytest.raises(ModelNotFound, match=r"Did you mean smollm2-135m.*local folder"):
        made("smollm-135m", tmp_path)
    with pytest.raises(NotReady, match="aiplat models pull smollm2-135m"):
        made("SmolLM2", tmp_path)
    with pytest.raises(ConfigError, match="no folder"):
        made("./nothing-here", tmp_path)


def test_a_local_folder_is_digested_once(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = store.describe("tiny", tiny, cache)
    assert first.context == CONTEXT
    assert len(first.weights) == len(first.tokenizer) == len(first.template) == 64
    (kept,) = (cache / "digests").iterdir()
    before = kept.stat().st_mtime_ns
    assert store.describe("tiny", tiny, cache) == first
    assert kept.stat().st_mtime_ns == before
    make_tiny_model(tiny, seed=1)
    again = store.describe("tiny", tiny, cache)
    assert again.weights != first.weights
    assert again.tokenizer == first.tokenizer
    kept.write_text("rubbish")
    assert describe_folder(tiny, cache / "digests").weights == again.weights


def test_pickles_are_refused(tiny: Path) -> None:
    (tiny / "model.safetensors").rename(tiny / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"pytorch_model\.bin, a pickle"):
        store.locate(str(tiny), tiny)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_remote_code_is_refused(tiny: Path, file: str) -> None:
    text = (tiny / file).read_text()
    (tiny / file).write_text('{"auto_map": {"AutoModel": "evil.Model"}, ' + text[1:])
    with pytest.raises(ConfigError, match="auto_map"):
        store.locate(str(tiny), tiny)


@pytest.mark.parametrize("cut", [4, 100, -1])
def test_cut_weights_are_refused(tiny: Path, cut: int) -> None:
    weights = tiny / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:cut])
    with pytest.raises(ConfigError, match="fetch it again"):
        store.locate(str(tiny), tiny)


def test_other_broken_folders(tiny: Path) -> None:
    (tiny / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"no tokenizer\.json"):
        store.locate(str(tiny), tiny)
    (tiny / "config.json").write_bytes(b"\xff{")
    with pytest.raises(ConfigError, match=r"cannot be read|no tokenizer"):
        store.locate(str(tiny), tiny)


def test_only_whole_models_of_this_recipe_count(tmp_path: Path) -> None:
    assert store.pulled(tmp_path) == []
    folder = store.models_folder(tmp_path) / DEFAULT_MODEL
    folder.mkdir(parents=True)
    assert not store.is_whole(folder)
    stored = store.Stored(
        name=DEFAULT_MODEL, weights="w", tokenizer="t", template="c", recipe=store.RECIPE,
        context=8, vocabulary=9, sampling=EMBEDDED[DEFAULT_MODEL].sampling,
    )  # fmt: skip
    store.write_manifest(folder, stored)
    assert store.pulled(tmp_path) == [stored]
    assert store.locate("smollm2", tmp_path) == (DEFAULT_MODEL, folder)
    store.write_manifest(folder, stored.__replace__(recipe=store.RECIPE + 1))
    assert store.pulled(tmp_path) == []

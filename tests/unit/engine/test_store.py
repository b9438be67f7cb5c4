"""Names and folders: what is loaded, what is refused and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiplat.domain.errors import ConfigError, ModelNotFound, NotReady
from aiplat.engine import store
from aiplat.engine.backends.echo import EchoEngine
from aiplat.engine.catalogue import DEFAULT_MODEL, EMBEDDED
from aiplat.engine.factory import make_engine
from aiplat.engine.folders import describe_folder, facts_of
from aiplat.engine.process import EngineProcess
from aiplat.engine.settings import EngineSettings
from aiplat.telemetry.metrics import Metrics

pytest.importorskip("safetensors.numpy")

from tests.support.tiny_encoder import make_tiny_encoder  # needs safetensors
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


def test_a_folder_of_an_encoder_has_an_engine_that_makes_vectors(tmp_path: Path) -> None:
    encoder = made(str(make_tiny_encoder(tmp_path / "encoder")), tmp_path)
    assert isinstance(encoder, EngineProcess)
    assert encoder.offer().can == ("embed",)
    (tmp_path / "encoder" / "1_Pooling" / "config.json").write_text('{"pooling_mode": "lasttoken"}')
    with pytest.raises(ConfigError, match="takes pooling_mode_lasttoken"):
        made(str(tmp_path / "encoder"), tmp_path)


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"max_position_embeddings": 64, "vocab_size": 9, "dtype": "float16"}, (64, 9, "float16")),
        ({"n_positions": 32, "vocab_size": 9, "torch_dtype": "bfloat16"}, (32, 9, "bfloat16")),
        ({"text_config": {"max_position_embeddings": 16, "vocab_size": 8}}, (16, 8, "")),
        ({"max_position_embeddings": 64, "text_config": {"vocab_size": 7}}, (64, 7, "")),
    ],
)
def test_what_a_configuration_says_under_each_of_its_names(
    config: dict[str, object], found: tuple[int, int, str], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    facts = facts_of(tmp_path)
    assert (facts.context, facts.vocabulary, facts.dtype) == found


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"vocab_size": 9}, "says neither of max_position_embeddings, n_positions"),
        ({"max_position_embeddings": 8}, "says neither of vocab_size, n_vocab"),
        ({"max_position_embeddings": True, "vocab_size": 9}, "max_position_embeddings True, where"),
        ({"max_position_embeddings": 8, "vocab_size": -1}, "has vocab_size -1, where a number"),
    ],
)
def test_a_configuration_that_says_too_little(
    config: dict[str, object], words: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=words):
        facts_of(tmp_path)


@pytest.mark.parametrize("name", ["", " ", "a" * 300, "a" * 300 + "/b", "a\0b"])
def test_what_can_be_no_path_is_none(name: str) -> None:
    assert store.is_path(name) is ("/" in name)


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

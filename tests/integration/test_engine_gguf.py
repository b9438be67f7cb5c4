"""GGUF files, written here, turned into models by the real converter in its subprocess."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from aiplat.domain.errors import ConfigError, NotReady
from aiplat.engine import store
from aiplat.engine.pull import pull
from aiplat.engine.stages import Progress
from tests.support.tiny_gguf import write_gguf
from tests.support.tiny_model import make_tiny_model

pytest.importorskip("gguf")
QUIET: Progress = lambda stage, done, total: None  # noqa: E731  # a name for nothing


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("gguf") / "tiny")


def test_a_llama_is_what_it_was(tiny: Path, tmp_path: Path) -> None:
    file, cache = write_gguf(tiny, tmp_path / "tiny-f32.gguf"), tmp_path / "cache"
    with pytest.raises(NotReady, match="is not converted yet: run `aiplat models pull"):
        store.locate(str(file), cache)
    folder = pull(str(file), cache, QUIET)
    assert folder is not None
    assert store.locate(str(file), cache) == ("tiny-f32", folder)
    before, after = load_file(tiny / "model.safetensors"), load_file(folder / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    (stored,) = store.pulled(cache)
    assert (stored.recipe, stored.source) == (store.RECIPE, str(file))


@pytest.mark.slow
def test_another_architecture_goes_through_transformers(tiny: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    file = write_gguf(tiny, tmp_path / "q.gguf", kind="qwen2", pre="qwen2")
    folder = pull(str(file), tmp_path / "cache", QUIET)
    assert folder is not None
    after, before = load_file(folder / "model.safetensors"), load_file(tiny / "model.safetensors")
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert np.all(after["model.layers.0.self_attn.q_proj.bias"] == 0.25)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "the"}], add_generation_prompt=True, return_dict=False
    )
    assert ids[0] == 1
    assert tokenizer.decode(ids).startswith("<|im_start|>user\nthe<|im_end|>")


def test_a_disk_without_room_for_what_comes_of_it_leaves_nothing(
    tiny: Path, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")
    file, cache = write_gguf(tiny, tmp_path / "m.gguf"), tmp_path / "cache"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (16 * 1024, before[1])
    )  # of each file, here and below
    try:
        with pytest.raises(NotReady, match="what comes of it cannot be written") as refused:
            pull(str(file), cache, QUIET)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(refused.value)
    models = store.models_folder(cache)
    assert not [entry for entry in models.iterdir() if entry.is_dir()]
    assert pull(str(file), cache, QUIET) is not None, "with room it goes well"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "pre"), [("qwen2", "qwen2"), ("llama", "llama-bpe")])
def test_4_bit_groups_are_kept_of_each_llama_like_family(
    tiny: Path, tmp_path: Path, kind: str, pre: str
) -> None:
    pytest.importorskip("torch")
    from aiplat.engine.backends.slots.groups import StoredGroups

    file = write_gguf(tiny, tmp_path / "q4.gguf", kind=kind, pre=pre, quantised=True)
    folder = pull(str(file), tmp_path / "cache", QUIET)
    assert folder is not None
    weights, groups = load_file(folder / "model.safetensors"), StoredGroups(folder)
    layers = [name for name in weights if "_proj.weight" in name and ".down_" not in name]
    assert sorted(groups) == sorted(layers)
    for name in layers:
        np.testing.assert_allclose(groups[name].weights().numpy(), weights[name], rtol=1e-5)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("cut", "damaged or was cut|was cut: it has"),
        ("magic", "is no GGUF file"),
        ("pre", "its tokenizer 'other' is not converted for 'llama'"),
        pytest.param(
            "kind",
            "its architecture 'mamba9' or its tokenizer is not converted",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_is_refused(tiny: Path, tmp_path: Path, spoil: str, words: str) -> None:
    file = tmp_path / "m.gguf"
    if spoil == "kind":
        write_gguf(tiny, file, kind="mamba9")
    elif spoil == "pre":
        write_gguf(tiny, file, pre="other")
    else:
        data = write_gguf(tiny, file).read_bytes()
        file.write_bytes(data[:-5000] if spoil == "cut" else b"PK\x03\x04" + data[4:])
    with pytest.raises(ConfigError, match=words) as refused:
        pull(str(file), tmp_path / "cache", QUIET)
    assert "\n" not in str(refused.value)
    assert store.pulled(tmp_path / "cache") == []
    models = store.models_folder(tmp_path / "cache")
    assert not [entry for entry in models.iterdir() if entry.is_dir()]

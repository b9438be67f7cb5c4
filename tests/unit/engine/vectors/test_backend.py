"""An encoder in memory: its tokens, and that a vector depends on its text alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aiplat.engine.backend import LoadError, Plan  # noqa: E402  # needs torch
from aiplat.engine.backends.vectors.backend import Encoder, load  # noqa: E402  # needs torch
from tests.support.tiny_encoder import CONTEXT, SIZE, WORDS, make_tiny_encoder  # noqa: E402  # needs torch


def loaded(folder: Path, tmp_path: Path, **more: Any) -> Encoder:
    fields: dict[str, Any] = {"device": "cpu", "dtype": "auto", "vector_tokens": 256} | more
    return load(Plan(
        name="tiny", folder=str(folder), cache=str(tmp_path / "cache"), slots=1, max_waiting=1,
        default_max_tokens=1, step_seconds=1.0, prefill_tokens=16, cache_mib=16, threads=1,
        max_frame=1 << 20, backend="", **fields,
    ))  # fmt: skip


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    return loaded(make_tiny_encoder(tmp_path / "tiny"), tmp_path)


def vectors(encoder: Encoder, *texts: str, size: int = SIZE) -> Any:
    ids = encoder.encode(texts, None)
    made = encoder.vectors(ids, [size] * len(ids))
    return np.array([np.frombuffer(one, "<f4") for one in made])


def test_what_it_is(encoder: Encoder) -> None:
    assert (encoder.size, encoder.cuts) == (SIZE, False)
    manifest = encoder.manifest
    assert (manifest.context, manifest.vocabulary) == (CONTEXT, len(WORDS))
    assert manifest.dtype == "float32"
    assert "mean" in manifest.backend


def test_tokens_are_all_of_them_whatever_the_tokenizers_file_says(encoder: Encoder) -> None:
    assert encoder.encode(["The cat", " the cat sat on the mat "], None) == [
        [2, 4, 5, 3],
        [2, 4, 5, 6, 7, 4, 8, 3],
    ]
    assert encoder.encode(["the cat sat on the mat"], 5) == [[2, 4, 5, 6, 3]]
    assert encoder.encode(["   "], None) == [[2, 3]]


def test_a_vector_has_length_1_and_depends_on_its_text_alone(encoder: Encoder) -> None:
    texts = ["the cat", "a dog ran on the mat", "mat", "the cat sat on a mat " * 3]
    together = vectors(encoder, *texts)
    assert np.linalg.norm(together, axis=1) == pytest.approx([1.0] * 4, abs=1e-6)
    for place, text in enumerate(texts):
        (alone,) = vectors(encoder, text)
        assert float(alone @ together[place]) >= 0.99999
        assert alone == pytest.approx(together[place], abs=1e-5)


def test_it_is_what_transformers_says(encoder: Encoder, tmp_path: Path) -> None:
    from transformers import AutoModel

    ids = encoder.encode(["the cat sat"], None)
    model = AutoModel.from_pretrained(tmp_path / "tiny")
    with torch.inference_mode():
        states = model(torch.tensor(ids)).last_hidden_state[0]
    expected = torch.nn.functional.normalize(states.mean(0), dim=0).numpy()
    assert vectors(encoder, "the cat sat")[0] == pytest.approx(expected, abs=1e-5)


def test_a_matryoshka_model_is_cut_and_has_length_1(tmp_path: Path) -> None:
    encoder = loaded(make_tiny_encoder(tmp_path / "tiny", is_matryoshka=True), tmp_path)
    assert encoder.cuts
    (whole,), (cut,) = vectors(encoder, "the cat"), vectors(encoder, "the cat", size=4)
    assert cut == pytest.approx(whole[:4] / np.linalg.norm(whole[:4]), abs=1e-6)


def test_lower_case_where_the_folder_says_so(tmp_path: Path) -> None:
    folder = make_tiny_encoder(tmp_path / "tiny")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | {"normalizer": None}))
    assert loaded(folder, tmp_path).encode(["THE"], None) == [[2, 1, 3]]
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    assert loaded(folder, tmp_path).encode(["THE"], None) == [[2, 4, 3]]


def test_another_models_weights_are_refused(tmp_path: Path) -> None:
    folder = make_tiny_encoder(tmp_path / "tiny", num_hidden_layers=3)
    with pytest.raises(LoadError, match=r"weights that its config\.json asks for are not in"):
        loaded(folder, tmp_path)


def test_what_is_not_done_is_refused_by_name(tmp_path: Path) -> None:
    folder = make_tiny_encoder(tmp_path / "tiny")
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}')
    with pytest.raises(LoadError, match="pooling_mode_lasttoken"):
        loaded(folder, tmp_path)
    with pytest.raises(LoadError, match="4bit"):
        loaded(make_tiny_encoder(tmp_path / "tiny"), tmp_path, dtype="4bit")

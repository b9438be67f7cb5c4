"""Each way through: what it says is what transformers says, in any company and cut anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from aiplat.engine.backend import LoadError  # noqa: E402  # needs torch
from aiplat.engine.backends.slots.choosing import Served, serve  # noqa: E402  # needs torch
from aiplat.engine.backends.slots.devices import Choice  # noqa: E402  # needs torch
from aiplat.engine.backends.slots.loading import use_threads  # noqa: E402  # needs torch
from aiplat.engine.rows import Opening  # noqa: E402  # needs torch
from tests.unit.engine.slots.models import needs_half, plan_for, save_model  # noqa: E402  # needs torch
from tests.unit.engine.slots.reading import open_place, own, piece_of, read  # noqa: E402  # needs torch

CPU = torch.device("cpu")
PROMPT = [3, 17, 90, 4, 4, 61, 8, 33, 12, 75, 40, 2, 9, 9, 28, 51, 66, 7, 13, 80, 5, 44, 23]
OTHER = [70, 1, 6, 88, 34, 2]

FAMILY: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": None},
    "qwen2": {"use_sliding_window": False},
    "qwen3": {"use_sliding_window": False},
}
LLAMA3 = {
    "rope_parameters": {
        "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
    }
}  # fmt: skip


def served(folder: Path, way: str = "float32", **more: Any) -> Served:
    use_threads(1)  # small products, which two threads only make slower beside other work
    return serve(plan_for(folder, dtype=way, **more), Choice(CPU, False, way), 256)[1]


def reference(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def says(runner: Any, tolerance: float, model: Any) -> None:
    """Hold that a prompt in pieces, beside others and after a prefix, gets the model's own."""
    expected, other = own(model, PROMPT), own(model, OTHER)
    scale = float(expected.abs().max())

    def same(got: Any, wanted: Any) -> None:
        assert float((got - wanted).abs().max()) < tolerance * scale

    for place in (0, 2):
        open_place(runner, place)
    same(read(runner, piece_of(0, PROMPT, 0, 9))[0], expected[8])
    both = read(runner, piece_of(0, PROMPT, 9, 20), piece_of(2, OTHER, 0, 5))
    same(both[0], expected[19])
    same(both[2], other[4])
    both = read(runner, piece_of(2, OTHER, 5, 6), piece_of(0, PROMPT, 20, 21))
    same(both[0], expected[20])  # two that answer, with a place between them
    same(both[2], other[5])
    if runner.keeps:
        runner.open(Opening(3, 128, 15, 0))  # copied, while the source is at work
        got = read(runner, piece_of(0, PROMPT, 21, 22), piece_of(3, PROMPT, 15, 23))
        same(got[0], expected[21])
        same(got[3], expected[22])
        runner.open(Opening(0, 128, 6, 0))  # in place, the rest forgotten
        same(read(runner, piece_of(0, PROMPT, 6, 23))[0], expected[22])


@pytest.mark.parametrize("kind", FAMILY)
def test_the_fused_forward_is_the_model_s(kind: str, tmp_path: Path) -> None:
    folder = save_model(tmp_path / kind, kind, **FAMILY[kind])
    found = served(folder)
    assert (found.how, found.way, found.note) == ("fused", "float32", "")
    says(found.runner, 1e-4, reference(folder))


def test_scaled_rotations_and_tied_words(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "scaled", "llama", tie_word_embeddings=True, **LLAMA3)
    found = served(folder)
    assert found.how == "fused"
    says(found.runner, 1e-4, reference(folder))


@needs_half
def test_weights_in_float16(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "half", "qwen2", **FAMILY["qwen2"])
    found = served(folder, "float16")
    assert (found.how, found.way) == ("fused", "float16")
    says(found.runner, 5e-3, reference(folder))


def test_another_family_is_served_by_its_own_forward(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "olmo", "olmo2")
    found = served(folder)
    assert (found.how, found.note) == ("slots", "")
    says(found.runner, 1e-4, reference(folder))


def test_another_attention_is_served_one_after_the_other_and_says_so(tmp_path: Path) -> None:
    folder = save_model(
        tmp_path / "gemma", "gemma2", sliding_window=8, query_pre_attn_scalar=16,
        attn_logit_softcapping=5.0, hidden_activation="gelu_pytorch_tanh",
    )  # fmt: skip
    found = served(folder)
    assert found.how == "plain"
    assert not found.runner.keeps
    assert found.note.startswith("served one request after another, because its ")
    says(found.runner, 1e-4, reference(folder))
    with pytest.raises(LoadError, match=r"engine.deterministic is true, but gemma cannot"):
        served(folder, deterministic=True)


@pytest.mark.parametrize(
    ("kind", "way", "how"),
    [
        pytest.param("llama", "float16", "fused-fixed", marks=needs_half),
        ("qwen3", "float32", "fused-blocks"),
        ("olmo2", "float32", "blocks"),
    ],
)
def test_in_deterministic_mode_the_bits_are_the_same(
    kind: str, way: str, how: str, tmp_path: Path
) -> None:
    folder = save_model(tmp_path / kind, kind, **FAMILY.get(kind, {}))
    found = served(folder, way, deterministic=True)
    assert found.how == how
    runner, bits = found.runner, []
    for cuts in ((23,), (1, 2, 22, 23), (16, 23)):
        for company in (0, 3):
            begin, last = 0, torch.empty(0)
            for place in range(company + 1):
                open_place(runner, place)
            for end in cuts:
                others = [piece_of(p, OTHER, 0, 3 + p) for p in range(1, company + 1)]
                last = read(runner, piece_of(0, PROMPT, begin, end), *others)[0]
                begin = end
            bits.append(last)
    assert all(torch.equal(one, bits[0]) for one in bits)
    assert float((bits[0] - own(reference(folder), PROMPT)[-1]).abs().max()) < 0.1


@needs_half
@pytest.mark.parametrize("places", [1, 3])
def test_deterministic_with_few_places(places: int, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "few", "llama")
    found = served(folder, "float16", deterministic=True, slots=places, prefix_places=0)
    assert found.how == "fused-fixed"


def test_the_model_s_own_attention_when_the_operator_says_so(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "own", "llama")
    found = served(folder, attention="model")
    assert found.how == "plain"
    assert found.note == ("served one request after another, because engine.attention is model")
    says(found.runner, 1e-4, reference(folder))
    with pytest.raises(LoadError, match=r"cannot be served so: engine\.attention is model"):
        served(folder, attention="model", deterministic=True)


def test_a_nan_reaches_nobody_else(tmp_path: Path) -> None:
    def same(got: Any, ids: list[int]) -> None:
        expected = own(model, ids)[-1]
        assert float((got - expected).abs().max()) < 1e-3 * float(expected.abs().max())

    folder = save_model(tmp_path / "nan", "llama")
    model = reference(folder)
    model.model.embed_tokens.weight.data[95] = float("nan")
    model.save_pretrained(folder)
    runner = served(folder).runner
    for place in (0, 1, 2):
        open_place(runner, place)
    got = read(
        runner, piece_of(0, OTHER, 0, 6), piece_of(1, [95, 3], 0, 2), piece_of(2, PROMPT, 0, 20)
    )
    assert bool(got[1].isnan().all())
    same(got[0], OTHER)
    same(got[2], PROMPT[:20])
    got = read(runner, *(piece_of(p, [*OTHER, 5], 6, 7) if not p else piece_of(p, PROMPT, 20, 21)
                         for p in (0, 2)))  # fmt: skip
    same(got[0], [*OTHER, 5])
    same(got[2], PROMPT[:21])
    runner.spoil(1)
    open_place(runner, 1)
    got = read(runner, piece_of(1, PROMPT, 0, 1), piece_of(0, [*OTHER, 5, 7], 7, 8))
    same(got[1], PROMPT[:1])
    same(got[0], [*OTHER, 5, 7])


def test_what_a_model_s_authors_recommend_holds_where_a_request_says_nothing(
    tmp_path: Path,
) -> None:
    from aiplat.domain.chat import Sampling
    from aiplat.engine.backends.slots.backend import load
    from tests.support.tiny_model import make_tiny_model

    folder = make_tiny_model(tmp_path / "tiny")
    assert load(plan_for(folder)).defaults == Sampling()
    (folder / "generation_config.json").write_text(
        '{"do_sample": true, "temperature": 0.7, "top_p": 0.8, "top_k": 20, '
        '"repetition_penalty": 1.05, "eos_token_id": 2}'
    )
    assert load(plan_for(folder)).defaults == Sampling(
        temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05
    )


def test_another_model_s_weights_are_refused_and_not_filled_with_noise(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "llama", "llama")
    other = save_model(tmp_path / "olmo", "olmo2")
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(LoadError, match=r"of the weights that its config.json asks for are not in"):
        served(folder)
    wide = save_model(tmp_path / "wide", "llama", vocab_size=128)
    (folder / "model.safetensors").write_bytes((wide / "model.safetensors").read_bytes())
    with pytest.raises(LoadError, match="cannot be loaded"):
        served(folder)


def test_rotations_that_depend_on_the_longest_are_not_shared(tmp_path: Path) -> None:
    dynamic = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}
    folder = save_model(tmp_path / "dynamic", "llama", rope_parameters=dynamic)
    found = served(folder)
    assert found.how == "plain"
    assert "rotary embedding is dynamic" in found.note

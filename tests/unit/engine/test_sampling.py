"""Draws: the same anywhere, by seed and position; and what they choose of logits."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.engine.draws import uniform
from aiplat.engine.rows import Draw, Fault

torch = pytest.importorskip("torch")

from aiplat.engine.backends.slots import loading  # noqa: E402  # needs torch
from aiplat.engine.backends.slots.sampling import choose  # noqa: E402  # needs torch

NAN = float("nan")


def test_draws_are_the_same_on_every_machine() -> None:
    assert [uniform(0, 0), uniform(7, 3), uniform(-(2**63), 2**40)] == [
        0.8344336729487916,
        0.8506104847116868,
        0.04340943459252766,
    ]


def test_draws_are_spread_evenly() -> None:
    draws = [uniform(seed, position) for seed in range(50) for position in range(200)]
    assert all(0 <= draw < 1 for draw in draws)
    tenths = [sum(int(draw * 10) == tenth for draw in draws) for tenth in range(10)]
    assert max(tenths) - min(tenths) < 200


def chosen(odds: list[float], temperature: float, top_p: float, count: int = 2000) -> list[int]:
    logits = torch.tensor(odds).log().expand(count, -1)
    draws = [(Draw(temperature, top_p, 11), position) for position in range(count)]
    return [int(token) for token in choose(logits, draws)]  # type: ignore[arg-type]  # no faults


def test_temperature_zero_takes_the_likeliest() -> None:
    assert set(chosen([0.2, 0.5, 0.3], 0.0, 1.0)) == {1}
    assert set(chosen([0.2, 0.5, 0.3], 1e-9, 1.0)) == {1}
    assert set(chosen([0.2, 0.5, 0.3], 2.0, 0.0)) == {1}


@pytest.mark.parametrize(
    ("temperature", "top_p", "expected"),
    [
        (1.0, 1.0, [0.2, 0.5, 0.3]),
        (1.0, 0.8, [0.0, 0.625, 0.375]),
        (1.0, 0.5, [0.0, 1.0, 0.0]),
        (2.0, 1.0, [0.263, 0.415, 0.322]),
    ],
)
def test_shares_are_as_asked(temperature: float, top_p: float, expected: list[float]) -> None:
    found = chosen([0.2, 0.5, 0.3], temperature, top_p)
    shares = [found.count(token) / len(found) for token in range(3)]
    assert shares == pytest.approx(expected, abs=0.04)


def test_a_wide_nucleus_is_whole() -> None:
    found = chosen([1 / 5000] * 5000, 1.0, 0.99)
    assert len(set(found)) > 1500


def test_nan_fails_that_request_alone() -> None:
    logits = torch.tensor([[0.0, 1.0, 0.5], [0.0, NAN, 0.5], [2.0, 1.0, float("-inf")]])
    draws = [(Draw(0.0, 1.0, 0), 0), (Draw(1.0, 0.9, 0), 0), (Draw(0.5, 0.9, 0), 0)]
    first, second, third = choose(logits, draws)
    assert first == 1
    assert isinstance(second, Fault)
    assert third in (0, 1)


@pytest.mark.parametrize(
    ("asked", "weights", "flags", "expected"),
    [
        ("auto", "float32", "avx512_bf16", torch.float32),
        ("auto", "bfloat16", "avx512_bf16", torch.bfloat16),
        ("auto", "bfloat16", "avx2", torch.float32),
        ("bfloat16", "float32", "avx2", torch.bfloat16),
        ("float32", "bfloat16", "amx_bf16", torch.float32),
    ],
)
def test_weights_are_never_computed_in_a_coarser_type_by_itself(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    weights: str,
    flags: str,
    expected: object,
) -> None:
    config = f'{{"max_position_embeddings": 8, "vocab_size": 9, "dtype": "{weights}"}}'
    (tmp_path / "config.json").write_text(config)
    monkeypatch.setattr(loading, "_cpu_flags", lambda: frozenset({flags}))
    assert loading.choose_dtype(asked, tmp_path) == expected

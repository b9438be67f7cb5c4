"""4-bit groups: out of a GGUF file exactly, and through the packed kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
gguf = pytest.importorskip("gguf")
torch = pytest.importorskip("torch")

from gguf import GGMLQuantizationType as Kind  # noqa: E402  # needs gguf
from gguf.quants import dequantize, quantize  # noqa: E402  # needs torch
from safetensors.numpy import save_file  # noqa: E402  # needs torch

from aiplat.engine.backends.gguf_groups import groups_of  # noqa: E402  # needs torch
from aiplat.engine.backends.slots.groups import StoredGroups  # noqa: E402  # needs torch
from aiplat.engine.backends.slots.kernels import (  # noqa: E402  # needs torch
    ByRows,
    Four,
    Full,
    Groups,
    Half,
    most_rows,
)
from tests.unit.engine.slots.models import needs_half  # noqa: E402  # needs torch


def some(outputs: int = 48, inputs: int = 512) -> Any:
    return np.random.default_rng(1).standard_normal((outputs, inputs)).astype(np.float32)


def raw(kind: Kind) -> Any:
    if kind != Kind.Q4_K:
        return quantize(some(), kind)
    data = np.random.default_rng(2).integers(0, 256, (48, 2 * 144), dtype=np.uint8)
    data.reshape(48, 2, 144)[..., :4] = (
        some(48, 4).astype(np.float16).view(np.uint8).reshape(48, 8)[:, None, :4]
    )
    return data


@pytest.mark.parametrize("kind", [Kind.Q4_0, Kind.Q4_1, Kind.Q4_K])
def test_groups_are_the_file_s_numbers(kind: Kind, tmp_path: Path) -> None:
    data = raw(kind)
    found = groups_of(data, kind)
    assert found is not None
    save_file(
        {"w.codes": found.packed(), "w.scales": found.scales, "w.least": found.least},
        tmp_path / "groups.safetensors",
    )
    stored = StoredGroups(tmp_path)
    assert list(stored) == ["w"]
    wanted = dequantize(data, kind)
    got = stored["w"].weights().numpy()
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    with pytest.raises(KeyError):
        stored["v"]


def test_other_types_have_no_groups(tmp_path: Path) -> None:
    assert groups_of(quantize(some(), Kind.Q8_0), Kind.Q8_0) is None
    assert len(StoredGroups(tmp_path)) == 0


def q4_1() -> Groups:
    found = groups_of(raw(Kind.Q4_1), Kind.Q4_1)
    assert found is not None
    return Groups(*(torch.from_numpy(np.ascontiguousarray(part)) for part in found)).rounded()


@needs_half
def test_the_kernels_agree() -> None:
    groups = q4_1()
    weights = groups.weights()
    for count in (1, 2, 7):
        rows = torch.randn(count, 512, generator=torch.Generator().manual_seed(count))
        exact = Full(weights)(rows)
        assert float((Half(weights)(rows) - exact).abs().max()) < 0.02
        assert float((Half(weights, fixed=True)(rows) - exact).abs().max()) < 0.02
        assert float((Four(groups)(rows) - exact).abs().max()) < 0.3  # bfloat16 in and out


def test_one_way_for_few_rows_and_another_for_more() -> None:
    said: list[str] = []

    def way(name: str) -> Any:
        def product(rows: Any) -> Any:
            said.append(name)
            return rows

        return product

    pair = ByRows(way("few"), way("many"), 2)
    for count in (1, 2, 3):
        pair(torch.zeros(count, 4))
    assert said == ["few", "few", "many"]


def test_the_faster_way_is_measured() -> None:
    clock = 0.0

    def way(seconds: Callable[[int], float]) -> Any:
        def product(rows: Any) -> Any:
            nonlocal clock
            clock += seconds(len(rows))
            return rows

        return product

    few, many = way(lambda count: 0.3 if count > 2 else 0.01), way(lambda count: 0.06)
    assert most_rows([few], [many], 64, lambda: clock) == 2
    assert most_rows([many], [way(lambda count: 0.01)], 64, lambda: clock) == 0
    assert most_rows([way(lambda count: 0.059)], [many], 64, lambda: clock) == 0  # no gain

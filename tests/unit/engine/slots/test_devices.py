"""Where a model is computed and in what: by what is there, and as the operator says."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from aiplat.engine.backend import LoadError  # noqa: E402  # needs torch
from aiplat.engine.backends.slots import devices  # noqa: E402  # needs torch


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One without a GPU, with AVX2 and no more."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(devices, "has_half", lambda: True)
    monkeypatch.setattr(devices, "cpu_flags", lambda: frozenset({"avx2"}))
    return monkeypatch


def folder_of(tmp_path: Path, dtype: str) -> Path:
    config = f'{{"max_position_embeddings": 8, "vocab_size": 9, "dtype": "{dtype}"}}'
    (tmp_path / "config.json").write_text(config)
    return tmp_path


@pytest.mark.parametrize(
    ("stored", "groups", "half", "flags", "way"),
    [
        ("float32", False, True, "avx512_bf16", "float32"),  # nothing is made coarser
        ("float32", True, True, "avx2", "4bit"),
        ("float32", True, False, "", "float32"),
        ("bfloat16", False, True, "avx2", "float16"),
        ("bfloat16", False, True, "amx_bf16", "bfloat16"),
        ("float16", False, True, "avx2", "float16"),
        ("float16", False, False, "", "float32"),
    ],
)
def test_a_cpu_by_its_flags(
    machine: pytest.MonkeyPatch, tmp_path: Path, stored: str, groups: bool, half: bool,
    flags: str, way: str,
) -> None:  # fmt: skip
    machine.setattr(devices, "has_half", lambda: half)
    machine.setattr(devices, "cpu_flags", lambda: frozenset({flags}))
    found = devices.choose("auto", "auto", folder_of(tmp_path, stored), groups=groups)
    assert (found.device.type, found.spread, found.way) == ("cpu", False, way)
    assert found.dtype == (torch.bfloat16 if way == "bfloat16" else torch.float32)


@pytest.mark.parametrize(
    ("stored", "bf16", "way"),
    [("bfloat16", True, "bfloat16"), ("bfloat16", False, "float16"), ("float32", True, "float32"),
     ("float16", True, "float16")],
)  # fmt: skip
def test_a_gpu_is_taken_when_there_is_one(
    machine: pytest.MonkeyPatch, tmp_path: Path, stored: str, bf16: bool, way: str
) -> None:
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "device_count", lambda: 2)
    machine.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    folder = folder_of(tmp_path, stored)
    found = devices.choose("auto", "auto", folder, groups=True)
    assert (str(found.device), found.spread, found.way) == ("cuda:0", False, way)
    assert devices.choose("cuda:1", "auto", folder, groups=False).device.index == 1
    assert devices.choose("cuda:all", "auto", folder, groups=False).spread
    assert devices.choose("cpu", "auto", folder, groups=True).way == "4bit"
    with pytest.raises(LoadError, match=r"engine.device is cuda:2, but torch sees 2 CUDA devices"):
        devices.choose("cuda:2", "auto", folder, groups=False)


def test_what_is_not_there_is_said(machine: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "float32")
    with pytest.raises(LoadError, match=r"engine.device is cuda, but torch sees 0 CUDA devices"):
        devices.choose("cuda", "auto", folder, groups=False)
    with pytest.raises(LoadError, match=r"engine.device is mps, but torch sees no Apple GPU"):
        devices.choose("mps", "auto", folder, groups=False)
    with pytest.raises(LoadError, match="not there in 4-bit groups"):
        devices.choose("cpu", "4bit", folder, groups=False)
    machine.setattr(devices, "has_half", lambda: False)
    with pytest.raises(LoadError, match="needs an x86 CPU with AVX2"):
        devices.choose("cpu", "4bit", folder, groups=True)

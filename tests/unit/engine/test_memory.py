"""What a machine has and what a model takes, from files made here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiplat.engine.memory import (
    OVERHEAD_MIB,
    VECTORS_MIB,
    Footprint,
    budget_mib,
    footprint,
    killed_for_memory,
    machine_mib,
)
from aiplat.engine.settings import EngineSettings
from aiplat.engine.ways import bytes_each

GIB = 1024**3


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemTotal: 16777216 kB\nMemFree: 1 kB\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "gib"),
    [
        ({}, 16),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": f"{8 * GIB}\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 16),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{4 * GIB}"}, 4),
        (
            {
                "proc/self/cgroup": "5:cpu,memory:/x\n1:name=systemd:/\n",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": f"{2 * GIB}",
            },
            2,
        ),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, 16),
    ],
)
def test_the_machine(tmp_path: Path, files: dict[str, str], gib: int) -> None:
    root = machine(tmp_path, files)
    assert machine_mib(root) == gib * 1024
    assert budget_mib(0, root) == gib * 768
    assert budget_mib(77, root) == 77


def test_nobody_knows(tmp_path: Path) -> None:
    assert budget_mib(0, tmp_path) is None


def test_a_model(tmp_path: Path) -> None:
    config = {
        "dtype": "bfloat16", "num_hidden_layers": 4, "num_attention_heads": 8,
        "num_key_value_heads": 2, "hidden_size": 512, "max_position_embeddings": 4096,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    found = footprint(tmp_path, EngineSettings(device="cpu", dtype="float32", slots=2))
    assert found == Footprint(weights=200, cache=32)  # 2 · 4 layers · 2 · 64 · 4 bytes · 4096 · 2
    assert (
        footprint(tmp_path, EngineSettings(device="cpu", dtype="bfloat16", cache_mib=16)).weights
        == 100
    )
    assert (
        footprint(tmp_path, EngineSettings(device="cpu", dtype="float32", cache_mib=16)).cache == 16
    )


def test_an_encoder_has_no_cache_and_is_whole_on_a_cpu(tmp_path: Path) -> None:
    config = {"architectures": ["BertModel"], "dtype": "float16", "hidden_size": 512}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    found = footprint(tmp_path, EngineSettings(device="cpu"))
    assert found == Footprint(weights=200, cache=0, overhead=OVERHEAD_MIB + VECTORS_MIB)
    assert found.cache_within(100) == found.cache_within(None) == 0


def test_small_matrices_take_more_when_they_are_packed() -> None:
    assert bytes_each("4bit") == bytes_each("4bit", 4096) == 2.5
    assert bytes_each("4bit", 576) == pytest.approx(0.5 + 2 * 1024 / 576)


def test_how_often_the_kernel_killed_for_memory(tmp_path: Path) -> None:
    assert killed_for_memory(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "vmstat").write_text("nr_free_pages 5\noom_kill 12\n")
    assert killed_for_memory(tmp_path) == 12


def test_the_cache_shrinks_before_a_model_is_refused() -> None:
    model = Footprint(weights=1000, cache=2048)
    assert model.cache_within(None) == 2048
    assert model.cache_within(10_000) == 2048
    assert model.cache_within(1000 + OVERHEAD_MIB + 1000) == 500
    assert model.cache_within(1000 + OVERHEAD_MIB + 64) == 64
    assert model.least == 1000 + OVERHEAD_MIB + 64


def test_weights_on_a_gpu_take_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"dtype": "bfloat16"}')
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    assert footprint(tmp_path, EngineSettings(device="cuda:1")).least == OVERHEAD_MIB
    assert footprint(tmp_path, EngineSettings(device="cpu", dtype="float32")).weights == 200
    with (tmp_path / "groups.safetensors").open("wb") as file:
        file.truncate(50 * 1024 * 1024)  # is read into something else, and counts there
    assert footprint(tmp_path, EngineSettings(device="cpu", dtype="4bit")).weights == 125

"""bench/tui from its command to its figures, as short as it goes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.tui import run

ROOT = Path(__file__).parents[3]
FIGURES = {
    "memory": ("MiB after a quarter", "MiB after a half", "MiB at the end",
               "KiB a question, second half"),
    "stream": ("open_seconds", "cpu", "lag_p50_ms", "lag_p95_ms", "lag_max_ms", "mib"),
}  # fmt: skip


@pytest.mark.slow
def test_it_measures_memory_and_a_stream_to_the_end(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    command = [sys.executable, str(ROOT / "bench" / "tui"), "--quick", "--only", *FIGURES]
    done = subprocess.run(
        [*command, "--json", str(file)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for part, names in FIGURES.items():
        assert f"== {part}\n" in done.stdout
        for name in names:
            assert re.search(rf"^{re.escape(name)} +-?\d", done.stdout, re.MULTILINE), done.stdout
    found = json.loads(file.read_text())
    assert {part: tuple(told) for part, told in found.items()} == FIGURES
    assert found["memory"]["MiB at the end"] > 10


def test_a_screen_that_ends_early_is_no_figure() -> None:
    with pytest.raises(SystemExit, match="stream was not measured: the screen ended with 1"):
        run._child("stream", "no number")

"""Takes the parts in turns, and writes what was found."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.options import parse
from bench.tui.terminal import run_to_end, seconds_to_paint

PARTS = ("start", "stream", "table", "memory")
RIVALS = ("posting", "harlequin")
_ROOT = Path(__file__).parents[2]


def main(doc: str, argv: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and print it."""
    options = parse(doc, argv, PARTS, "environment of posting and harlequin")
    found: dict[str, object] = {}
    parts: dict[str, Callable[[argparse.Namespace], dict[str, object]]] = {
        "start": _start, "stream": _stream, "table": _table, "memory": _memory,
    }  # fmt: skip
    for name in options.only or PARTS:
        print(f"== {name}", flush=True)
        found[name] = parts[name](options)
        for key, value in found[name].items():  # type: ignore[attr-defined]  # each part is a dict
            print(f"{key:<44} {value}", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1))
    return 0


# -- start -----------------------------------------------------------------------------------------


def _start(options: argparse.Namespace) -> dict[str, object]:
    commands = {"aiplat tui": [str(Path(sys.executable).with_name("aiplat")), "tui"]}
    if options.rivals:
        bin_folder = _rivals(Path(options.rivals))
        commands |= {name: [str(bin_folder / name)] for name in RIVALS}
    first: dict[str, list[float]] = {name: [] for name in [*commands, "aiplat tui, node starts"]}
    ready: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        environ = _environ(home)
        _aiplat(environ, "serve", "--background", "--model", "echo")
        try:
            for _ in range(options.rounds):
                for name, command in commands.items():
                    needle = b"Enter sends" if name == "aiplat tui" else b""
                    paint, usable = seconds_to_paint(command, environ, needle)
                    first[name].append(paint)
                    if needle:
                        ready.append(usable)
        finally:
            _aiplat(environ, "stop", "--now")
        for number in range(options.rounds):
            fresh = _environ(Path(folder) / f"fresh{number}")
            paint, _ = seconds_to_paint(commands["aiplat tui"], fresh)
            first["aiplat tui, node starts"].append(paint)
            _aiplat(fresh, "stop", "--now")
    made: dict[str, object] = {
        f"{name}: first paint, s": _spread(times) for name, times in first.items() if times
    }
    made["aiplat tui: a prompt can be typed, s"] = _spread(ready)
    for rival in RIVALS:
        if first.get(rival):
            ratio = statistics.median(first["aiplat tui"]) / statistics.median(first[rival])
            made[f"of {rival}'s time"] = round(ratio, 2)
    return made


def _environ(home: Path) -> dict[str, str]:
    wanted = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "AIPLAT_HOME": str(home)}
    return os.environ | wanted | {"HOME": str(home.parent)}


def _aiplat(environ: dict[str, str], *words: str) -> None:
    command = [str(Path(sys.executable).with_name("aiplat")), *words]
    if words[0] == "serve":
        process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            if "8777" in line or "http" in line:
                return
        raise SystemExit("the node did not start")
    subprocess.run(command, env=environ, capture_output=True, check=False)


def _rivals(folder: Path) -> Path:
    """Have them in an environment of their own: they want other versions of what we use."""
    found = folder / "bin"
    if not all((found / name).exists() for name in RIVALS):
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [str(found / "pip"), "install", "--quiet", *RIVALS], check=True, stdout=sys.stderr
        )
    return found


# -- stream and memory -----------------------------------------------------------------------------


def _stream(options: argparse.Namespace) -> dict[str, object]:
    return _streamed("stream", options)


def _table(options: argparse.Namespace) -> dict[str, object]:
    """An answer that is one table, of some 200 rows in the end."""
    return _streamed("table", options)


def _streamed(what: str, options: argparse.Namespace) -> dict[str, object]:
    seconds = 2.0 if options.quick else 20.0
    rounds = [_child(what, str(seconds), "200") for _ in range(options.rounds)]
    return {key: _spread([one[key] for one in rounds]) for key in rounds[0]}


def _memory(options: argparse.Namespace) -> dict[str, object]:
    questions = 4 if options.quick else 60
    sizes = _child("memory", str(questions))["mib"]
    quarter = max(1, len(sizes) // 4)
    return {
        "MiB after a quarter": sizes[quarter - 1], "MiB after a half": sizes[2 * quarter - 1],
        "MiB at the end": sizes[-1], "KiB a question, second half": round(
            1024 * (sizes[-1] - sizes[2 * quarter - 1]) / max(1, len(sizes) - 2 * quarter), 1),
    }  # fmt: skip


def _child(*words: str) -> Any:
    folder = Path(tempfile.mkdtemp())
    try:
        file = folder / "found.json"
        command = [sys.executable, "-m", "bench.tui.load", *words, str(file)]
        environ = os.environ | {
            "TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(_ROOT),
        }  # fmt: skip
        code = run_to_end(command, environ, limit=600, columns=140, rows=42)
        if code or not file.exists():
            raise SystemExit(f"{words[0]} was not measured: the screen ended with {code}.")
        return json.loads(file.read_text())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _spread(values: Sequence[float]) -> str:
    """The median, and between which it was."""
    return f"{statistics.median(values):.3g} ({min(values):.3g}–{max(values):.3g})"

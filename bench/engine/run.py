"""The run: rounds over contenders, what failed and why, and the file that keeps it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.engine import limits
from bench.engine.contenders import Contender, Files, find_files, make_contenders
from bench.engine.crowd import crowd, engine_settings
from bench.engine.machine import load, machine
from bench.engine.memory import end_all
from bench.engine.plots import charts
from bench.engine.prompts import Prompts
from bench.engine.scenes import AT_ONCE, QUICK, Measuring, Sizes
from bench.engine.tables import report

NAMES = ("ours", "ours-f32", "transformers", "llama.cpp", "crowd", "limit")
_BUSY = 0.5  # of load: somebody else computes

Raw = dict[str, Any]
"""What goes into the file: of the machine, of each contender in each round, and the rest."""


def main(doc: str) -> int:
    """Run as the command line says; gives the exit status."""
    given = _parse(doc)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        raw = json.loads(given.from_file.read_text()) if given.from_file else _measure(given)
    except KeyboardInterrupt:
        kept = f" What was measured is in {given.json}." if given.json else ""
        _say(f"Interrupted; all that was started is ended.{kept}")
        return 130
    finally:
        end_all()
    print(report(raw))
    if given.plots:
        for name, chart in charts(raw).items():
            (given.plots / f"{name}.svg").write_text(chart.svg())
    return 1 if _failures(raw) else 0


def _parse(doc: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/engine", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--quick", action="store_true", help="small, once: does it work?")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME",
                        help=f"of {', '.join(NAMES)}")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.NAME=VALUE",
                        help="a setting of both of ours")  # fmt: skip
    parser.add_argument("--cache", type=Path, help="where the model lies, and is pulled to: "
                        "AIPLAT_CACHE, else .cache/aiplat of the checkout")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures there")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw into that folder")
    parser.add_argument("--from", type=Path, dest="from_file", metavar="FILE",
                        help="measure nothing: show what --json kept")  # fmt: skip
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"--rounds must be at least 1, but is {given.rounds}.")
    if given.from_file and not given.from_file.is_file():
        parser.error(f"--from: there is no file {given.from_file}.")
    if given.plots:
        given.plots.mkdir(parents=True, exist_ok=True)
    return given


def _measure(given: argparse.Namespace) -> Raw:
    if load() > _BUSY:
        _say(f"The machine is busy (load {load()}): these figures will mean little.")
    default = Path(__file__).parents[2] / ".cache" / "aiplat"
    cache = given.cache or Path(os.environ.get("AIPLAT_CACHE") or default)
    files = find_files(cache.resolve())
    raw: Raw = {
        "machine": machine(), "quick": given.quick, "settings": given.set, "runs": [],
        "bandwidth": [], "weights": limits.weights_read(files), "crowd": None, "failed": {},
    }  # fmt: skip
    _keep(raw, given.json)  # a place where it cannot be written is found out now
    contenders = [one for one in make_contenders(given.set) if one.name in given.only]
    sizes = QUICK if given.quick else Sizes()
    try:
        for number in range(1 if given.quick else given.rounds):
            _round(raw, number, contenders, files, sizes, given)
        if "crowd" in given.only:
            _crowd(raw, files, quick=given.quick)
    finally:
        raw["machine"]["load_after"] = load()
        _keep(raw, given.json)
    return raw


def _round(
    raw: Raw, number: int, contenders: list[Contender], files: Files, sizes: Sizes,
    given: argparse.Namespace,
) -> None:  # fmt: skip
    if "limit" in given.only:
        try:
            raw["bandwidth"].append(limits.bandwidth())
        except Exception as error:  # noqa: BLE001  # told in the table; the run goes on
            raw["failed"]["limit"] = _sentence(error)
    turn = number % max(1, len(contenders))
    for contender in (*contenders[turn:], *contenders[:turn]):
        raw["runs"].append(_one(contender, number, files, sizes))
        _keep(raw, given.json)


def _one(contender: Contender, number: int, files: Files, sizes: Sizes) -> Raw:
    """One contender, started, measured and ended."""
    _say(f"round {number + 1}: {contender.name} …")
    began = time.perf_counter()
    told: Raw = {"contender": contender.name, "label": contender.label, "round": number}
    figures: dict[str, float] = {}
    failed: dict[str, str] = {}
    try:
        with (
            tempfile.TemporaryDirectory(prefix="aiplat-bench-", ignore_cleanup_errors=True) as made,
            contender.start(files, Path(made)) as running,
        ):
            figures["start"] = time.perf_counter() - began
            measuring = Measuring(running, Prompts(files.folder, seed=number), sizes)
            measuring.all(figures, failed)
    except Exception as error:  # noqa: BLE001  # told in the table; the run goes on
        failed["start or end"] = _sentence(error)
        _say(f"    failed: {failed['start or end']}")
    speeds = " / ".join(f"{figures.get(f'speed_{n}', 0):.1f}" for n in AT_ONCE)
    _say(f"    {time.perf_counter() - began:.0f} s; tokens a second at 1 / 8 / 32: {speeds}")
    return told | {"figures": figures, "failed": failed}


def _crowd(raw: Raw, files: Files, *, quick: bool) -> None:
    _say("crowd …")
    requests, tokens, waves = (20, 8, 1) if quick else (100, 64, 3)
    prompts = Prompts(files.folder, seed=1000)
    try:
        settings = engine_settings(raw["settings"], requests)
        with tempfile.TemporaryDirectory(prefix="aiplat-bench-") as made:
            raw["crowd"] = crowd(
                files, Path(made), prompts, settings, requests=requests, tokens=tokens, waves=waves
            )
    except Exception as error:  # noqa: BLE001  # told in the table; the run goes on
        raw["failed"]["crowd"] = _sentence(error)
        _say(f"    failed: {raw['failed']['crowd']}")


def _failures(raw: Raw) -> bool:
    return bool(raw["failed"]) or any(run["failed"] for run in raw["runs"])


def _sentence(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {str(error)[:600]}"


def _keep(raw: Raw, file: Path | None) -> None:
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.part")
        part.write_text(json.dumps(raw, indent=1))
        os.replace(part, file)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt

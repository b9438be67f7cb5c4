"""The run: which parts are measured, how large, and the file that keeps what was found."""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.accounts import door, questions, rows
from bench.accounts.events import Filling, add_events
from bench.accounts.people import add_people, key_texts
from bench.accounts.tables import report
from bench.engine.machine import load, machine

HERE = Path(__file__).parent
PARTS = ("admission", "usage", "rows", "door")
UNTIL = 1_790_000_000.0
"""The time of day that events come up to (2026-09-21, UTC)."""

Raw = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How much of each is done.

    Arguments:
        users, keys: of the store that is asked for admission.
        askers, asker_keys: of the stores that usage is of.
        admissions: of each kind in a round.
        batches: of each kind and size in a round.
        events: that are there already.
        requests: one at a time, at each node in a round.
        seconds: with a hundred requests at once, at each node in each of six slices of a round.
    """

    users: int = 10_000
    keys: int = 100_000
    askers: int = 1_000
    asker_keys: int = 3_000
    admissions: int = 5_000
    batches: int = 100
    events: int = 10_000_000
    requests: int = 300
    seconds: float = 1.0


QUICK = Sizes(
    users=100, keys=1_000, askers=100, asker_keys=300, admissions=200, batches=3, events=20_000,
    requests=10, seconds=0.2,
)  # fmt: skip


def main(doc: str) -> int:
    """Run as the command line says; gives the exit status."""
    given = _parse(doc)
    if given.from_file:
        print(report(json.loads(given.from_file.read_text())))
        return 0
    raw: Raw = {"machine": machine() | {"sqlite": sqlite3.sqlite_version}, "rounds": given.rounds}
    sizes = QUICK if given.quick else Sizes()
    with _folder(given.folder) as folder:
        for part in given.only:
            _say(f"{part} …")
            raw[part] = _MEASURE[part](folder, sizes, given.rounds)
            raw["machine"]["load_after"] = load()
            if given.json:
                given.json.write_text(json.dumps(raw, indent=1))
    print(report(raw))
    return 0


def _parse(doc: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/accounts", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured")
    parser.add_argument("--quick", action="store_true", help="small: does it work?")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART",
                        help=f"of {', '.join(PARTS)}")  # fmt: skip
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep the stores there, and use "
                        "the one with the events again if it is there")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures there")
    parser.add_argument("--from", type=Path, dest="from_file", metavar="FILE",
                        help="measure nothing: show what --json kept")  # fmt: skip
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"--rounds must be at least 1, but is {given.rounds}.")
    if given.from_file and not given.from_file.is_file():
        parser.error(f"--from: there is no file {given.from_file}.")
    return given


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """Where the stores lie: on a disk, for what `rows` measures."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given) as own:
        yield given or Path(own)


def measure_admission(folder: Path, sizes: Sizes, rounds: int) -> Raw:
    """In a process of its own, for its memory."""
    numbers = map(str, (sizes.users, sizes.keys, rounds, sizes.admissions))
    with tempfile.TemporaryDirectory(dir=folder) as own:
        command = [sys.executable, str(HERE / "admission.py"), own, *numbers]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: Raw = json.loads(done.stdout)
    return found | {"users": sizes.users, "keys": sizes.keys}


def measure_rows(folder: Path, sizes: Sizes, rounds: int) -> Raw:
    """In an empty store, and in one with the events."""
    keys = list(key_texts(sizes.asker_keys))
    with tempfile.TemporaryDirectory(dir=folder) as own:
        add_people(Path(own), sizes.askers, sizes.asker_keys)
        empty = rows.measure(Path(own), keys, UNTIL, rounds, sizes.batches)
    with _store_of_events(folder, sizes) as (store, _):
        full = rows.measure(store, keys, UNTIL, rounds, sizes.batches)
    return {"empty": empty, "full": full}


def measure_usage(folder: Path, sizes: Sizes, rounds: int) -> Raw:
    """Questions where the events are."""
    with _store_of_events(folder, sizes) as (store, filling):
        return questions.measure(store, filling, rounds) | {"filling": msgspec.to_builtins(filling)}


def measure_door(folder: Path, sizes: Sizes, rounds: int) -> Raw:
    """At nodes of their own."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        return door.measure(Path(own), rounds, sizes.requests, sizes.seconds)


@contextlib.contextmanager
def _store_of_events(folder: Path, sizes: Sizes) -> Iterator[tuple[Path, Filling]]:
    """The store with the events: made once in a folder."""
    store = folder / f"events-{sizes.events}"
    note = store / "filling.json"
    if not note.exists():
        _say(f"making {sizes.events:,} events …")
        add_people(store, sizes.askers, sizes.asker_keys)
        filling = add_events(store, sizes.events, UNTIL)
        note.write_bytes(msgspec.json.encode(filling))
    yield store, msgspec.json.decode(note.read_bytes(), type=Filling)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


_MEASURE: dict[str, Callable[[Path, Sizes, int], Raw]] = {
    "admission": measure_admission, "rows": measure_rows, "usage": measure_usage,
    "door": measure_door,
}  # fmt: skip

"""Takes the parts in turns, and writes what was found."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.asking import Asker
from bench.doors.contenders import HERE, LiteLLM, Node, Program, Smg, Upstream
from bench.doors.tables import Found, print_tables
from bench.options import parse

PARTS = ("alone", "crowd", "flood", "paced", "weight")
_PACKAGES = {"litellm": "litellm[proxy]==1.106.12", "smg": "smg==1.13.0"}
_RATE = 20.0
_ECHO = ("--model", "echo")
_SLOTS = {"AIPLAT_UPSTREAM_SLOTS": "1000"}
"""By default an upstream is asked for 16 answers at once, and the rest wait."""
_UNLIMITED = {
    f"AIPLAT_ACCOUNTS_{name}": "0" for name in ("REQUESTS_PER_MINUTE", "TOKENS_PER_MINUTE")
}
"""A peer without a key has limits of a minute by default, which a bench runs into."""

Running = dict[str, Program]


def main(doc: str, argv: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and print it."""
    options = _parse(doc, argv)
    if options.rivals:
        _have(Path(options.rivals))
    found = Found()
    wanted = options.only or PARTS
    if set(wanted) - {"paced"}:
        with _running(0.0, options) as (programs, asker):
            for _ in range(options.rounds):
                _round(wanted, programs, asker, options, found)
            if "weight" in wanted:
                _weigh(programs, found)
    if "paced" in wanted:
        with _running(_RATE, options) as (programs, asker):
            for _ in range(max(1, options.rounds // 2)):
                _paced(programs, asker, options, found)
    print_tables(found)
    if options.json:
        Path(options.json).write_text(json.dumps(found.figures, indent=1))
    return 0


def _parse(doc: str, argv: Sequence[str] | None) -> argparse.Namespace:
    options = parse(doc, argv, PARTS, "environments of litellm and smg")
    options.count = 20 if options.quick else 200
    options.seconds = 0.3 if options.quick else 3.0
    options.tokens = 200 if options.quick else 2000
    options.streams = (5,) if options.quick else (100, 250)
    options.lasting = 20 if options.quick else 200
    return options


def _have(folder: Path) -> None:
    """Have them in environments of their own: they want other versions of what we use."""
    for name, package in _PACKAGES.items():
        place = folder / name
        if not (place / "bin" / name).exists():
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
            command = [str(place / "bin/pip"), "install", "--quiet", package]
            subprocess.run(command, check=True, stdout=sys.stderr)


@contextlib.contextmanager
def _running(rate: float, options: argparse.Namespace) -> Iterator[tuple[Running, Asker]]:
    """All of them, with answers at that rate."""
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs: Running = {}

        def add(name: str, program: Program) -> Program:
            stack.callback(program.stop)
            programs[name] = program
            return program

        upstream = Upstream(rate)
        add("upstream", upstream)
        echo = (*_ECHO, "--echo-rate", f"{rate:g}")
        add("door", Node(folder / "door", *echo))
        add("before", Node(folder / "before", "--upstream", f"{upstream.address}/v1", **_SLOTS))
        _add_hops(folder, echo, add, stack)
        if options.rivals:
            rivals = Path(options.rivals)
            add("litellm", LiteLLM(folder / "litellm", rivals, upstream))
            add("smg", Smg(rivals, upstream))
        asker = Asker(HERE / "asker.py")
        stack.callback(asker.stop)
        yield programs, asker


def _add_hops(
    folder: Path,
    echo: tuple[str, ...],
    add: Callable[[str, Program], Program],
    stack: contextlib.ExitStack,
) -> None:
    """The ways over libp2p; who only stands behind a door is ended with the rest."""

    def behind(name: str, *arguments: str) -> str:
        node = Node(folder / name, *arguments, waits=False, **_UNLIMITED)
        stack.callback(node.stop)
        return str(node.status["addresses"][0])

    both = behind("both", "--role", "gateway", "--role", "processor", *echo)
    add("one hop", Node(folder / "one", "--role", "client", "--peer", both))
    gateway = behind("gateway", "--role", "gateway")
    behind("processor", "--role", "processor", *echo, "--peer", gateway)
    add("two hops", Node(folder / "two", "--role", "client", "--peer", gateway))


# -- a round ---------------------------------------------------------------------------------------


def _round(
    wanted: Sequence[str], programs: Running, asker: Asker, options: argparse.Namespace, to: Found
) -> None:
    if "alone" in wanted:
        for kind, stream in (("alone", False), ("first", True)):
            told = asker.order(
                "turns", doors=_doors(programs), count=options.count, stream=stream
            )  # fmt: skip
            for name, times in zip(programs, told["ms"], strict=True):
                to.spread(name, kind, times)
    for at_once in (1, 10, 100) if "crowd" in wanted else ():
        for name, program in programs.items():
            told = asker.order(
                "crowd", door=_door(program), at_once=at_once, seconds=options.seconds
            )  # fmt: skip
            to.add(name, f"a second, {at_once} at once", len(told["ms"]) / told["seconds"])
            if at_once == 1:
                to.spread(name, "in a row", told["ms"])
    if "flood" in wanted:
        for name, program in programs.items():
            told = asker.order("flood", door=_door(program), at_once=10, tokens=options.tokens)
            to.add(name, "tokens a second", told["tokens"] / told["seconds"])
            to.add(name, "events a second", told["events"] / told["seconds"])


def _paced(programs: Running, asker: Asker, options: argparse.Namespace, to: Found) -> None:
    for at_once in options.streams:
        for name, program in programs.items():
            told = asker.order(
                "paced", door=_door(program), at_once=at_once, tokens=options.lasting
            )  # fmt: skip
            to.spread(name, f"gap, {at_once} streams", told["gaps"])
            to.add(name, f"{at_once} streams: events a second", told["events"] / told["seconds"])


def _weigh(programs: Running, to: Found) -> None:
    for name, program in programs.items():
        to.add(name, "MiB", program.mebibytes())
        to.add(name, "start s", program.started)


def _doors(programs: Running) -> list[dict[str, Any]]:
    return [_door(program) for program in programs.values()]


def _door(program: Program) -> dict[str, Any]:
    door = program.door
    return {"port": door.port, "headers": dict(door.headers), "model": door.model}

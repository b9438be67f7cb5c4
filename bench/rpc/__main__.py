"""What a request costs over our channel, beside a rival and what lies below.

    (cd bench/rpc/hyperswarm && npm install)
    .venv/bin/python bench/rpc [--rounds 5] [--seconds 2] [--only channel hyperswarm …]
        [--rates] [--json]

Each contender is a process that serves and one that asks, on loopback; all live through the whole
run and take turns within each round, so that what else the machine does falls on all of them.
Figures are medians over the rounds. A *request* is a body of 200 bytes there and one back; over the
channel it is a whole `Submission`, and a `Started` with a model's manifest and the `Finished` back.

- `tcp`: trio's sockets, Python, what is ready together in one write: the floor.
- `libp2p`: a py-libp2p stream (Noise, yamux), each body a write of its own.
- `channel`: two aiplat nodes; `fenced`: the same behind a pre-shared key, as in a private network;
  `two hops`: with the gateway role between them, in a third.
- `hyperswarm`: @hyperswarm/rpc over hyperdht's own test net, on Node.js; left out where it is
  not installed.

CPU is of the process that asks and of the one that serves (user and system), for each request.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
AT_ONCE = (1, 10, 100)


class Process:
    """A program of the bench; `ready` is what it said first."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE
        )
        self.ready = self._hear()

    def order(self, what: str, **given: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what} | given) + "\n")
        self.process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(map(str, self.process.args))} ended.")  # type: ignore[arg-type]  # a list of words
        heard: dict[str, Any] = json.loads(line)
        return heard

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class Contender:
    """Programs that serve, and one that asks the last of them."""

    def __init__(self, name: str, serves: list[list[str]], asks: list[str]) -> None:
        self.name = name
        self.servers: list[Process] = []
        address: list[str] = []
        for command in serves:
            self.servers.append(Process(*command, *address))
            address = [str(self.servers[-1].ready["address"])]
        self.asker = Process(*asks, *address)

    @property
    def has_streams(self) -> bool:
        return self.name in ("channel", "fenced", "two hops")

    def measure(self, seconds: float, rates_only: bool) -> dict[str, float]:
        """One turn."""
        found: dict[str, float] = {}
        if not rates_only:
            connects = self.asker.order("connect", times=3)["ms"]
            found["connect_ms"] = statistics.median(connects)
        for at_once in AT_ONCE:
            before = self._cpu()
            told = self.asker.order("rate", at_once=at_once, seconds=seconds)
            after = self._cpu()
            count = told["requests"]
            found[f"rate_{at_once}"] = count / told["seconds"]
            found[f"ask_us_{at_once}"] = (after[0] - before[0]) / count * 1e6
            found[f"serve_us_{at_once}"] = (after[1] - before[1]) / count * 1e6
            if at_once == 1:
                found["p50_ms"], found["p99_ms"] = told["p50_ms"], told["p99_ms"]
            else:
                found[f"p99_ms_{at_once}"] = told["p99_ms"]
        if rates_only:
            return found
        if self.has_streams:
            for at_once in (1, 32):
                told = self.asker.order("ids", at_once=at_once, seconds=seconds)
                found[f"ids_{at_once}"] = told["ids"] / told["seconds"]
        if self.has_streams or self.name == "hyperswarm":
            told = self.asker.order("beside", seconds=seconds)
            found["beside_p50_ms"], found["bulk_mb_s"] = told["p50_ms"], told["bulk_mb_s"]
        return found

    def _cpu(self) -> tuple[float, float]:
        return self.asker.cpu_seconds(), sum(server.cpu_seconds() for server in self.servers)

    def end(self) -> None:
        for process in (self.asker, *self.servers):
            process.end()


def contenders(only: list[str]) -> dict[str, tuple[list[list[str]], list[str]]]:
    """Name → what serves, what asks."""
    plain, channel = [sys.executable, "plain.py"], [sys.executable, "channel.py"]
    hops = [[*channel, "processor"], [*channel, "gateway"]]
    ways = {
        "tcp": ([[*plain, "tcp", "serve"]], [*plain, "tcp", "ask"]),
        "libp2p": ([[*plain, "libp2p", "serve"]], [*plain, "libp2p", "ask"]),
        "channel": (hops[:1], [*channel, "ask"]),
        "fenced": ([[*hops[0], "fenced"]], [*channel, "ask", "fenced"]),
        "two hops": (hops, [*channel, "ask"]),
    }
    if (HERE / "hyperswarm" / "node_modules").exists():
        scripts = HERE / "hyperswarm"
        ways["hyperswarm"] = (
            [["node", str(scripts / "serve.js")]], ["node", str(scripts / "ask.js")],
        )  # fmt: skip
    elif "hyperswarm" in only or not only:
        print(f"hyperswarm is left out: run npm install in {HERE}/hyperswarm", file=sys.stderr)
    return {name: way for name, way in ways.items() if not only or name in only}


def run(
    rounds: int, seconds: float, only: list[str], rates_only: bool
) -> dict[str, dict[str, float]]:
    """Medians over the rounds, for each contender."""
    with contextlib.ExitStack() as stack:
        there = []
        for name, way in contenders(only).items():
            there.append(Contender(name, *way))
            stack.callback(there[-1].end)
        for contender in there:
            contender.asker.order("rate", at_once=10, seconds=0.5)  # warm
        found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for _ in range(rounds):
            for contender in there:
                for key, value in contender.measure(seconds, rates_only).items():
                    found[contender.name][key].append(value)
    return {
        name: {key: statistics.median(values) for key, values in row.items()}
        for name, row in found.items()
    }


def report(found: dict[str, dict[str, float]]) -> None:
    """A table: a line for each figure, a column for each contender."""
    keys = list(dict.fromkeys(key for row in found.values() for key in row))
    print(f"{'':<16}" + "".join(f"{name:>13}" for name in found))
    for key in keys:
        cells = (_cell(row.get(key)) for row in found.values())
        print(f"{key:<16}" + "".join(f"{cell:>13}" for cell in cells))
    if {"channel", "hyperswarm"} <= set(found):
        for at_once in AT_ONCE:
            ratio = found["channel"][f"rate_{at_once}"] / found["hyperswarm"][f"rate_{at_once}"]
            print(f"channel / hyperswarm at {at_once}: {ratio:.2f}")


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--rates", action="store_true", help="requests a second, and no more")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = run(given.rounds, given.seconds, given.only, given.rates)
    print(json.dumps(found)) if given.json else report(found)


if __name__ == "__main__":
    main()

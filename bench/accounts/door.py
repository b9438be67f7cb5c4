"""What keys, limits and the count add to a request at a node's HTTP door.

Three real nodes with the model `echo`, which takes no time to think: *counted* is asked with an
account's key, which has all four limits as its user has; *uncounted* is the same node with its
accounts switched off (`uncounted.py`), asked with its local token; its *twin* is one more of those,
so that the difference of the two shows how much of a difference is chance. Each round has nodes of
its own: of two processes that do the same one is often some percent quicker for all its life.
Another process asks: one request at a time, each of the nodes in turn; and many at once, one node
after the other, a second each.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.asking import Asker
from tests.support.nodes import COMMAND, aiplat, environment

HERE = Path(__file__).parent
NAMES = ("uncounted", "counted", "twin")
AT_ONCE = 100
SLICES = 6
_LIMITS = (
    "--rpm", "100M", "--tpm", "10000M", "--concurrent", "10000", "--tokens-per-month", "1000000M",
)  # fmt: skip
_STOP_SECONDS = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Node:
    """An `aiplat serve` of its own home; ready when the constructor returns."""

    def __init__(self, name: str, home: Path) -> None:
        command = COMMAND if name == "counted" else [sys.executable, str(HERE / "uncounted.py")]
        self.home = home
        self.process = subprocess.Popen(
            [*command, "--home", str(home), "serve", "--json", "--http", "127.0.0.1:0",
             "--model", "echo", "--echo-rate", "0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment(),
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the node {name} did not start")
        self.port = int(str(json.loads(line)["http"]).rpartition(":")[2])
        self.key = self._account_key() if name == "counted" else self._local_token()

    def _account_key(self) -> str:
        self._told("users", "limits", "operator", *_LIMITS, "--json")
        return str(self._told("keys", "create", "--name", "bench", *_LIMITS, "--json")["key"])

    def _local_token(self) -> str:
        return str(self._told("env", "--json")["OPENAI_API_KEY"])

    def _told(self, *arguments: str) -> dict[str, Any]:
        done = aiplat(self.home, *arguments)
        if done.returncode:
            raise SystemExit(f"aiplat {arguments[0]}: {done.stdout}{done.stderr}")
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def cpu_seconds(self) -> float:
        """What all its threads took so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[tuple[list[Node], Asker]]:
    """The nodes, by the order of `NAMES`, and who asks them."""
    with contextlib.ExitStack() as stack:
        nodes = []
        for name in NAMES:
            nodes.append(Node(name, folder / name))
            stack.callback(nodes[-1].stop)
        asker = Asker(HERE / "asker.py", [(node.port, node.key) for node in nodes])
        stack.callback(asker.stop)
        yield nodes, asker


def measure(folder: Path, rounds: int, requests: int, seconds: float) -> dict[str, Any]:
    """Ask.

    Arguments:
        requests: one at a time, at each node in a round.
        seconds: with `AT_ONCE` at once, at each node in each of the `SLICES` of a round.

    Returns:
        For each node the figures of each round: `p50_ms` and `p99_ms` one at a time; with many at
        once `rate` (a second), `rate_p99_ms` and `cpu_us` of the node for each request.
    """
    found: dict[str, Any] = {name: {} for name in NAMES}
    for number in range(rounds):
        with running(folder / str(number)) as (nodes, asker):
            _crowds(nodes, asker, seconds / 2)  # warm
            taken = asker.order("turns", count=requests)["ms"]
            crowds = _crowds(nodes, asker, seconds)
        for name, times, crowd in zip(NAMES, taken, crowds, strict=True):
            figures = {"p50_ms": statistics.median(times), "p99_ms": _p99(times)}
            for figure, value in (figures | crowd.figures()).items():
                found[name].setdefault(figure, []).append(value)
    return found


@dataclass
class Crowd:
    """What many at once came to at one node, over the slices of a round."""

    seconds: float = 0.0
    cpu: float = 0.0
    ms: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """For the table."""
        return {
            "rate": len(self.ms) / self.seconds, "rate_p99_ms": _p99(self.ms),
            "cpu_us": self.cpu / len(self.ms) * 1e6,
        }  # fmt: skip


def _crowds(nodes: list[Node], asker: Asker, seconds: float) -> list[Crowd]:
    """Slices of all nodes in turns: what else the machine does falls on all of them."""
    crowds = [Crowd() for _ in nodes]
    asker.order("open", at_once=AT_ONCE)
    for slice_ in range(SLICES):
        for step in range(len(nodes)):
            door = (slice_ + step) % len(nodes)
            before = nodes[door].cpu_seconds()
            told = asker.order("rate", door=door, seconds=seconds)
            crowds[door].cpu += nodes[door].cpu_seconds() - before
            crowds[door].seconds += told["seconds"]
            crowds[door].ms += told["ms"]
    asker.order("close")
    return crowds


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]

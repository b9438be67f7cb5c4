"""What a node costs that has many peers, and how quickly it knows who came and who went.

    .venv/bin/python bench/peers [--peers 5 20 50] [--seconds 20] [--rounds 3] [--plot FILE]

Real processes on loopback, in a private network that is made for the bench: two gateways, and as
many processors (model `echo`). Measured of the first gateway, while nobody asks anything: memory
that is its own (PSS) and the share of one core that it takes. Then, a few times each: the
seconds from a new processor's ready line until both gateways list it; from `kill -9` of one until
neither does; and from SIGSTOP of one.

`--plot` needs matplotlib (`pip install matplotlib`), the rest needs nothing besides aiplat.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiplat.control.client import ControlClient

AIPLAT = [sys.executable, "-m", "aiplat"]
TICKS = os.sysconf("SC_CLK_TCK")


def aiplat(home: Path, *arguments: str, stdin: str = "") -> str:
    command = [*AIPLAT, "--home", str(home), *arguments]
    return subprocess.run(command, input=stdin, text=True, capture_output=True, check=True).stdout


class Node:
    """An `aiplat serve` of its own home."""

    def __init__(self, home: Path, *arguments: str) -> None:
        command = [*AIPLAT, "--home", str(home), "serve", "--json", "--http", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [*command, "--listen", "/ip4/127.0.0.1/tcp/0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.status: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.client = ControlClient(Path(self.status["control"]))

    @property
    def peer_id(self) -> str:
        return str(self.status["peer_id"])

    def connected(self) -> set[str]:
        return {p.peer_id for p in self.client.status().peers if p.state == "connected"}

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self) -> float:
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        [line] = [line for line in rollup.splitlines() if line.startswith("Pss:")]
        return int(line.split()[1]) / 1024

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Lab:
    """The network: two gateways that are measured, and a crowd of processors."""

    def __init__(self, root: Path, most: int) -> None:
        self.root = root
        aiplat(root / "g1", "network", "create", "bench")
        self.gateways = [Node(root / "g1", "--role", "gateway")]
        self._gateway_token = self._invite("gateway", 1)
        self._token = self._invite("processor", most)
        aiplat(root / "g2", "join", stdin=self._gateway_token)
        self.gateways.append(Node(root / "g2", "--role", "gateway"))
        self.crowd: list[Node] = []

    def _invite(self, role: str, uses: int) -> str:
        told = aiplat(self.root / "g1", "invite", "--role", role, "--uses", str(uses), "--json")
        return str(json.loads(told)["token"])

    def start(self, number: int) -> Node:
        home = self.root / f"p{number}"
        if not home.exists():
            aiplat(home, "join", "--file", "-", stdin=self._token)
        return Node(home, "--role", "processor", "--model", "echo")

    def grow(self, peers: int) -> None:
        while len(self.crowd) < peers - 1:  # the other gateway is a peer too, of the crowd's
            self.crowd.append(self.start(len(self.crowd)))
        began = time.perf_counter()
        wait(lambda: all(self.know(node) for node in self.crowd), 120)
        print(f"{peers} are there, {time.perf_counter() - began:.0f} s after the last one's start",
              file=sys.stderr, flush=True)  # fmt: skip

    def know(self, node: Node) -> bool:
        return all(node.peer_id in gateway.connected() for gateway in self.gateways)

    def knew(self, node: Node) -> bool:
        return any(node.peer_id in gateway.connected() for gateway in self.gateways)

    def close(self) -> None:
        for node in (*self.crowd, *self.gateways):
            node.process.send_signal(signal.SIGCONT)
            node.kill()


def wait(check: Callable[[], bool], seconds: float) -> float:
    """Ask until it is true; gives the seconds that it took."""
    began = time.perf_counter()
    while not check():
        if time.perf_counter() - began > seconds:
            raise SystemExit(f"it did not come true within {seconds:g} s")
        time.sleep(0.01)
    return time.perf_counter() - began


def idle(lab: Lab, seconds: float) -> dict[str, float]:
    """What the first gateway takes while nothing happens."""
    node = lab.gateways[0]
    time.sleep(30)  # what the last arrivals began is over
    before = node.cpu_seconds()
    time.sleep(seconds)
    used = node.cpu_seconds() - before
    return {
        "memory_mib": round(node.memory_mib(), 1),
        "cpu_percent": round(100 * used / seconds, 2),
        "peers": len(node.connected()),
    }


def comings_and_goings(lab: Lab, rounds: int) -> dict[str, float]:
    """Medians, in seconds."""
    known, dead, frozen = [], [], []
    number = len(lab.crowd)
    for _ in range(rounds):
        node = lab.start(number)
        known.append(wait(lambda: lab.know(node), 60))  # noqa: B023  # called before the next
        node.kill()
        dead.append(wait(lambda: not lab.knew(node), 60))  # noqa: B023  # called at once
        node = lab.start(number)
        wait(lambda: lab.know(node), 60)  # noqa: B023  # called at once
        node.process.send_signal(signal.SIGSTOP)
        frozen.append(wait(lambda: not lab.knew(node), 60))  # noqa: B023  # called at once
        node.kill()
    return {
        "known_s": round(statistics.median(known), 3),
        "dead_s": round(statistics.median(dead), 3),
        "frozen_s": round(statistics.median(frozen), 3),
    }


def plot(rows: list[dict[str, float]], file: str) -> None:
    from matplotlib import pyplot  # type: ignore[import-not-found]  # only here, and optional

    peers = [row["peers"] for row in rows]
    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    for axis, title, names in (
        (axes[0], "memory of an idle gateway (MiB, PSS)", ["memory_mib"]),
        (axes[1], "CPU of an idle gateway (% of a core)", ["cpu_percent"]),
        (axes[2], "seconds until both gateways know", ["known_s", "dead_s", "frozen_s"]),
    ):
        for name in names:
            axis.plot(peers, [row[name] for row in rows], marker="o", label=name)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("peers")
        axis.set_ylim(bottom=0)
        if len(names) > 1:
            axis.legend(fontsize=8)
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=int, nargs="+", default=[5, 20, 50])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", default="")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as root:
        lab = Lab(Path(root), max(given.peers) + len(given.peers))
        try:
            for peers in sorted(given.peers):
                lab.grow(peers)
                rows.append(idle(lab, given.seconds) | comings_and_goings(lab, given.rounds))
                print(rows[-1], file=sys.stderr, flush=True)  # the last may take minutes
        finally:
            lab.close()
    if given.plot:
        plot(rows, given.plot)
    if given.json:
        print(json.dumps(rows))
        return
    print("".join(f"{name:>14}" for name in rows[0]))
    for row in rows:
        print("".join(f"{value:>14}" for value in row.values()))


if __name__ == "__main__":
    main()

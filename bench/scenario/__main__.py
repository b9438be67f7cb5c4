"""What a network on one machine takes to notice who dies, and to have it back.

    .venv/bin/python bench/scenario [--rounds 7] [--json]

Real processes on loopback, in a private network that is made for the bench: 2 gateways, 3
processors (model `echo`), 2 clients, which know only tokens that name the first gateway. In each
round, one after the other, with the seconds until both gateways' `peers` say so:

- killed: `kill -9` of a processor, until it is gone;
- returned: its ready line, until it is back with its model (and, of that, from its exec);
- frozen: SIGSTOP of a processor, until it is gone;
- thawed: SIGCONT, until it is back;
- restarted: drain, stop and start of a gateway, until both have all processors, and both clients
  have both gateways, again (half of the rounds the entry);
- revoked: `network revoke` of a member, until it is gone (each round another member).

Meanwhile both clients ask, one request after the other: some are cut in mid-answer by a processor
that was killed, frozen or revoked, none is lost otherwise. `peers` is asked over the control
socket, every 10 ms.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiplat.control.client import ControlClient
from aiplat.control.messages import Ask
from aiplat.domain.answers import Delta, Finished
from aiplat.domain.chat import Message
from aiplat.domain.errors import ProcessorLost

AIPLAT = [sys.executable, "-m", "aiplat"]
GATEWAYS, PROCESSORS, CLIENTS = ("g1", "g2"), ("p1", "p2", "p3"), ("c1", "c2")
LONGEST_SECONDS = 60.0

Seconds = dict[str, list[float]]


def aiplat(home: Path, *arguments: str, stdin: str = "") -> str:
    command = [*AIPLAT, "--home", str(home), *arguments]
    return subprocess.run(command, input=stdin, text=True, capture_output=True, check=True).stdout


class Node:
    """An `aiplat serve` of its own home."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.arguments = arguments
        command = [*AIPLAT, "--home", str(home), "serve", "--json", "--http", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [*command, "--listen", "/ip4/127.0.0.1/tcp/0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.status: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.peer_id = str(self.status["peer_id"])
        self.client = ControlClient(Path(self.status["control"]))

    def connected(self) -> set[str]:
        return {p.peer_id for p in self.client.peers().peers if p.state == "connected"}

    def placeable(self) -> set[str]:
        return {p.peer_id for p in self.client.peers().peers if "echo" in p.models}

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


class Lab:
    """The network. Every token is made before the second member starts: it names the entry."""

    def __init__(self, root: Path, rounds: int) -> None:
        self.nodes: dict[str, Node] = {}
        self._root = root
        aiplat(root / "g1", "network", "create", "bench")
        self.start("g1", "--role", "gateway")
        roles = {"g2": "gateway"} | dict.fromkeys(PROCESSORS, "processor")
        roles |= dict.fromkeys(CLIENTS, "client")
        roles |= {f"r{n}": "processor" for n in range(rounds)}
        for name, role in roles.items():
            told = aiplat(root / "g1", "invite", "--role", role, "--json")
            aiplat(root / name, "join", "--file", "-", stdin=json.loads(told)["token"])
        self.start("g2", "--role", "gateway")
        for name in PROCESSORS:
            self.processor(name)
        for name in CLIENTS:
            self.start(name, "--role", "client")
        until(self.is_whole)

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def start(self, name: str, *arguments: str) -> Node:
        self.nodes[name] = Node(self._root / name, *arguments)
        return self.nodes[name]

    def again(self, name: str) -> Node:
        return self.start(name, *self.nodes[name].arguments)

    def processor(self, name: str) -> Node:
        return self.start(name, "--role", "processor", "--model", "echo", "--echo-rate", "100")

    def is_back(self, node: Node) -> bool:
        return all(node.peer_id in self[g].placeable() for g in GATEWAYS)

    def is_gone(self, node: Node) -> bool:
        return not any(node.peer_id in self[g].connected() for g in GATEWAYS)

    def is_whole(self) -> bool:
        gateways = {self[g].peer_id for g in GATEWAYS}
        return all(self.is_back(self[p]) for p in PROCESSORS) and all(
            gateways <= self[c].connected() for c in CLIENTS
        )

    def close(self) -> None:
        for node in self.nodes.values():
            node.kill()


def until(condition: Callable[[], bool]) -> float:
    """Wait until it is so; gives the seconds that it took."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > LONGEST_SECONDS:
            raise SystemExit(f"it did not come true within {LONGEST_SECONDS:g} s")
        time.sleep(0.01)
    return time.perf_counter() - began


class Load(threading.Thread):
    """One request after the other through a client, each some half a second long.

    Whole are those that came to their end; cut those whose processor was lost after their first
    token, which are told so; lost are all others.
    """

    def __init__(self, client: Node) -> None:
        super().__init__(daemon=True)
        self.whole = self.cut = self.lost = 0
        self._client = client.client
        self._enough = threading.Event()

    def run(self) -> None:
        words = " ".join(f"word{n}" for n in range(16))
        while not self._enough.is_set():
            self._one(Ask(messages=(Message("user", words),), model="echo"))

    def _one(self, ask: Ask) -> None:
        began = ended = False
        try:
            for event in self._client.ask(ask):
                began = began or isinstance(event, Delta)
                ended = isinstance(event, Finished)
        except Exception as fault:  # noqa: BLE001  # whatever it is, a request was lost
            if began and isinstance(fault, ProcessorLost):
                self.cut += 1
                return
            print(f"lost: {fault!r}", file=sys.stderr)
        self.whole += ended
        self.lost += not ended

    def end(self) -> None:
        self._enough.set()
        self.join(60)


def one_round(lab: Lab, number: int, seconds: Seconds) -> None:
    victim = lab[PROCESSORS[number % len(PROCESSORS)]]
    victim.kill()
    seconds["killed"].append(until(lambda: lab.is_gone(victim)))
    began = time.perf_counter()
    name = PROCESSORS[number % len(PROCESSORS)]
    again = lab.again(name)
    seconds["returned"].append(until(lambda: lab.is_back(again)))
    seconds["from_exec"].append(time.perf_counter() - began)

    frozen = lab[PROCESSORS[(number + 1) % len(PROCESSORS)]]
    frozen.signal(signal.SIGSTOP)
    seconds["frozen"].append(until(lambda: lab.is_gone(frozen)))
    frozen.signal(signal.SIGCONT)
    seconds["thawed"].append(until(lambda: lab.is_back(frozen)))

    name = GATEWAYS[number % len(GATEWAYS)]
    aiplat(lab[name].home, "drain")
    lab[name].stop()
    lab.again(name)
    seconds["restarted"].append(until(lab.is_whole))

    member = lab.processor(f"r{number}")
    until(lambda: lab.is_back(member))
    aiplat(lab["g1"].home, "network", "revoke", member.peer_id)
    seconds["revoked"].append(until(lambda: lab.is_gone(member)))
    member.kill()


def measure(rounds: int) -> dict[str, Any]:
    seconds: Seconds = defaultdict(list)
    with tempfile.TemporaryDirectory() as root:
        lab = Lab(Path(root), rounds)
        loads = [Load(lab[client]) for client in CLIENTS]
        try:
            for load in loads:
                load.start()
            for number in range(rounds):
                one_round(lab, number, seconds)
            for load in loads:
                load.end()
        finally:
            lab.close()
    figures: dict[str, Any] = {
        name: {"median": round(statistics.median(found), 2), "longest": round(max(found), 2)}
        for name, found in seconds.items()
    }
    for name in ("whole", "cut", "lost"):
        figures[name] = sum(getattr(load, name) for load in loads)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    figures = measure(given.rounds)
    if given.json:
        print(json.dumps(figures))
        return
    print(f"{'':>12}{'median s':>12}{'longest s':>12}")
    for name, found in figures.items():
        if isinstance(found, dict):
            print(f"{name:>12}{found['median']:>12.2f}{found['longest']:>12.2f}")
    print("requests meanwhile: {whole} whole, {cut} cut, {lost} lost".format_map(figures))


if __name__ == "__main__":
    main()

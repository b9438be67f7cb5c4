"""Real nodes on machines of their own, as far as the network goes: NATs, cut and lossy links."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.namespaces import Lab, Machine, why_not
from tests.support.nodes import RunningNode, aiplat
from tests.support.waiting import eventually

if os.environ.get("AIPLAT_TEST_NAMESPACES") == "0":
    pytest.skip("AIPLAT_TEST_NAMESPACES is 0", allow_module_level=True)
if _missing := why_not():
    pytest.skip(_missing, allow_module_level=True)

pytestmark = pytest.mark.slow

WAIT = 180.0


class Members:
    """A network whose members each have a machine; the first is its owner."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._machines: dict[str, Machine] = {}
        self._arguments: dict[str, tuple[str, ...]] = {}
        self.nodes: dict[str, RunningNode] = {}

    def found(self, name: str, machine: Machine, *serve: str) -> RunningNode:
        """Make the network, and start its owner."""
        self._machines[name] = machine
        self._command(name, "network", "create", "lab")
        return self.start(name, *serve)

    def member(self, name: str, machine: Machine, roles: str, *serve: str) -> RunningNode:
        """Invite, join from there, and start."""
        self._machines[name] = machine
        owner = next(iter(self.nodes))
        asked = [word for role in roles.split() for word in ("--role", role)]
        token = json.loads(self._command(owner, "invite", *asked, "--json"))["token"]
        self._command(name, "join", stdin=token + "\n")
        return self.start(name, *asked, *serve)

    def start(self, name: str, *serve: str) -> RunningNode:
        arguments = serve or self._arguments[name]
        self._arguments[name] = arguments
        if name in self.nodes:
            self.nodes[name].close()
        node = RunningNode(
            self._folder / name, "--set", "node.finding_seconds=2", *arguments,
            prefix=self._machines[name].prefix,
        )  # fmt: skip
        self.nodes[name] = node
        return node

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()

    def now(self, name: str) -> dict[str, Any]:
        return json.loads(self._command(name, "status", "--json"))  # type: ignore[no-any-return]  # it is an object

    def peer(self, at: str, of: str) -> dict[str, Any]:
        """What one member lists of another; empty when it lists nothing."""
        listed = json.loads(self._command(at, "peers", "--json"))
        found = [peer for peer in listed if peer["peer_id"] == self.nodes[of].peer_id]
        return found[0] if found else {}

    def sees(self, at: str, of: str) -> bool:
        return self.peer(at, of).get("state") == "connected"

    def ask(self, name: str, words: str) -> str:
        return self._command(name, "ask", "--model", "echo", words)

    def answers(self, name: str, words: str) -> bool:
        """Whether an answer comes; until everyone found everyone, none does."""
        done = aiplat(self._folder / name, "ask", "--model", "echo", words)
        return done.returncode == 0 and words in done.stdout

    def has_answers_by(self, client: str, gateway: str, other: str) -> None:
        """Ask each of two processors: while the gateway's own is drained, and after."""
        own = self.nodes[gateway].peer_id
        for who, *off in ((other,), (gateway, "--off")):
            self._command(gateway, "drain", own, *off)
            if off:
                self._command(gateway, "drain", self.nodes[other].peer_id)
            asked = self._command(client, "ask", "--model", "echo", "--json", f"answer, {who}")
            told = json.loads(asked)
            assert told["processor"] == self.nodes[who].peer_id
            assert told["text"] == f"answer, {who}"
        self._command(gateway, "drain", "--off", self.nodes[other].peer_id)

    def _command(self, name: str, *arguments: str, stdin: str = "") -> str:
        prefix = self._machines[name].prefix
        done = aiplat(self._folder / name, *arguments, stdin=stdin, prefix=prefix)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Members]:
    members = Members(tmp_path)
    try:
        yield members
    finally:
        members.close()


def wait(check: Any, what: str, seconds: float = WAIT) -> None:
    def slowly() -> bool:
        time.sleep(0.2)
        return bool(check())

    eventually(slowly, seconds, what)


def test_two_processors_and_a_client_behind_nats_answer_through_a_relay(
    lab: Lab, members: Members
) -> None:
    """Nobody but the relay can be reached, and it is neither gateway nor processor."""
    world = lab.lan("198.51.100")
    members.found("r", lab.host(world), "--role", "client", "--set", "node.punch=false")
    hidden = [lab.host(lab.behind_nat(world, f"10.77.{n}")) for n in (1, 2, 3)]
    off = ("--set", "node.punch=false")
    members.member("a", hidden[0], "gateway processor", "--model", "echo", *off)
    members.member("b", hidden[1], "processor", "--model", "echo", *off)
    members.member("c", hidden[2], "client", *off)
    wait(lambda: members.sees("a", "b"), "the gateway has the second processor")
    wait(lambda: members.sees("c", "a"), "the client has the gateway")
    wait(lambda: members.answers("c", "through the relay"), "an answer comes")
    members.has_answers_by("c", "a", "b")
    peer = members.peer("c", "a")
    assert peer["path"] == "relayed"
    assert members.nodes["r"].peer_id in json.dumps(peer)

    members.nodes["r"].kill()
    wait(lambda: not members.sees("c", "a"), "the client noticed")
    wait(lambda: not members.sees("a", "b"), "so did the gateway")
    members.start("r")
    wait(lambda: members.sees("c", "a"), "the client has the gateway again")
    wait(lambda: members.sees("a", "b"), "so has the second processor")
    wait(lambda: members.answers("c", "through the relay again"), "an answer comes again")
    members.has_answers_by("c", "a", "b")


def test_a_cut_link_is_noticed_by_its_silence_and_mends(lab: Lab, members: Members) -> None:
    world = lab.lan("198.51.100")
    members.found("g", lab.host(world), "--role", "gateway")
    machine = lab.host(world)
    members.member("p", machine, "processor", "--model", "echo")
    wait(lambda: members.sees("g", "p"), "they found each other")
    machine.cut()
    wait(lambda: not members.sees("g", "p"), "the silence was noticed")
    assert "silent" in members.nodes["g"].stderr
    machine.mend()
    wait(lambda: members.sees("g", "p"), "they found each other again")
    wait(lambda: members.answers("g", "after the cut"), "an answer comes")


def test_a_lossy_link_loses_no_answer(lab: Lab, members: Members) -> None:
    """Every twentieth packet is lost each way, in the middle of a network that is well."""
    world = lab.lan("198.51.100")
    members.found("g", lab.host(world), "--role", "gateway")
    machine = lab.host(world)
    members.member("p", machine, "processor", "--model", "echo", "--echo-rate", "50")
    wait(lambda: members.sees("g", "p"), "they found each other")
    machine.lose(5)
    for count in range(5):
        words = " ".join(f"word{count}-{place}" for place in range(30))
        assert words in members.ask("g", words), "asked once, and whole"


def test_two_lans_are_one_network(lab: Lab, members: Members) -> None:
    """Routed, without a NAT: who is on the other LAN is reached directly."""
    here, there = lab.lan("10.81.1"), lab.lan("10.81.2")
    lab.join(here, there)
    members.found("g", lab.host(here), "--role", "gateway")
    members.member("p", lab.host(there), "processor", "--model", "echo")
    members.member("c", lab.host(there), "client")
    wait(lambda: members.sees("g", "p"), "the gateway has the processor")
    wait(lambda: members.answers("c", "from the other LAN"), "an answer comes")
    assert members.peer("c", "g")["path"] == "direct"


def test_a_network_that_is_parted_goes_on_in_both_halves_and_heals(
    lab: Lab, members: Members
) -> None:
    """A router between two LANs loses all packets, and nobody is told."""
    here, there = lab.lan("10.81.1"), lab.lan("10.81.2")
    lab.join(here, there)
    halves = ("g1", "p1", "c1"), ("g2", "p2", "c2")
    members.found("g1", lab.host(here), "--role", "gateway")
    members.member("g2", lab.host(there), "gateway")
    for name, lan in (("p1", here), ("p2", there)):
        members.member(name, lab.host(lan), "processor", "--model", "echo")
    for name, lan in (("c1", here), ("c2", there)):
        members.member(name, lab.host(lan), "client")
    across = [(gateway, f"{kind}{n}") for gateway, n in (("g1", 2), ("g2", 1)) for kind in "pcg"]
    for gateway, other in across:
        wait(lambda g=gateway, o=other: members.sees(g, o), f"{gateway} has {other}")

    lab.part(here)
    for gateway, other in across:
        wait(
            lambda g=gateway, o=other: not members.peer(g, o),
            f"{gateway} lists {other} no more, in whatever state",
        )
    for gateway, processor, client in halves:
        assert members.sees(gateway, processor)
        wait(lambda c=client: members.answers(c, "in one half"), f"{client} is answered")

    lab.mend(here)
    began = time.monotonic()
    for gateway, other in across:
        wait(lambda g=gateway, o=other: members.sees(g, o), f"{gateway} has {other} again")
    assert time.monotonic() - began < 150
    for client in ("c1", "c2"):
        wait(lambda c=client: members.answers(c, "in one piece"), f"{client} is answered")


def test_two_lans_of_which_one_is_behind_a_nat(lab: Lab, members: Members) -> None:
    """The gateway is on the hidden one: its neighbours reach it directly, others by the relay."""
    world = lab.lan("198.51.100")
    members.found("r", lab.host(world), "--role", "client")
    home = lab.behind_nat(world, "10.82.1", drops=False)
    # It dials nobody outside by itself, or there would be a direct way: its own.
    stays = ("--set", "node.punch=false", "--set", "node.min_members=0")
    members.member("g", lab.host(home), "gateway", *stays)
    members.member("p", lab.host(home), "processor", "--model", "echo")
    members.member("c", lab.host(world), "client")
    wait(lambda: members.answers("c", "from outside"), "an answer comes")
    assert members.peer("c", "g")["path"] == "relayed"
    assert members.peer("p", "g")["path"] == "direct"


def test_a_direct_connection_takes_the_relays_place(lab: Lab, members: Members) -> None:
    """Behind NATs that keep the port and drop strangers, as DCUtR needs it."""
    world = lab.lan("198.51.100")
    members.found("r", lab.host(world), "--role", "client")
    a, c = (lab.host(lab.behind_nat(world, f"10.77.{n}")) for n in (1, 2))
    members.member("a", a, "gateway processor", "--model", "echo")
    members.member("c", c, "client")
    wait(lambda: members.peer("c", "a").get("path") == "direct", "the relay was left")
    wait(lambda: members.answers("c", "past the relay"), "an answer comes")
    members.nodes["r"].kill()
    assert members.answers("c", "without the relay")
    assert members.peer("c", "a")["path"] == "direct"


def test_who_is_reached_lets_the_other_come(lab: Lab, members: Members) -> None:
    """The hidden one connects to the other; the channel is still the other's."""
    world = lab.lan("198.51.100")
    members.found("r", lab.host(world), "--role", "client")
    members.member(
        "a", lab.host(lab.behind_nat(world, "10.77.1")), "gateway processor", "--model", "echo"
    )
    members.member("c", lab.host(world), "client")
    wait(lambda: members.peer("c", "a").get("path") == "direct", "the relay was left")
    members.nodes["r"].kill()
    assert members.answers("c", "without the relay")

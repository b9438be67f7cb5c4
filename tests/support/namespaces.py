"""Machines of their own, as far as the network goes: namespaces with bridges, NATs and cut links.

Needs root, iproute2 and nftables. Names are unique to the process, and `Lab` removes all of its
own whatever happens; those of a run that was killed are removed by the next one.

    with Lab() as lab:
        world = lab.lan("198.51.100")
        relay = lab.host(world)
        home = lab.behind_nat(world, "10.77.1")
        client = lab.host(home)
        subprocess.run([*client.prefix, "ping", "-c1", relay.ip])
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

STEM = "aiplat-t"


def why_not() -> str:
    """Why there can be no namespaces here; empty when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(program) is None:
            return f"{program} is missing: Debian's package {package} has it"
    name = f"{STEM}{os.getpid()}-0"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if tried.returncode != 0:
        return f"no namespace can be made here: {tried.stderr.decode().strip()}"
    try:
        rules = "add table ip t; add chain ip t c { type nat hook postrouting priority 100; }"
        nft = ["ip", "netns", "exec", name, "nft", f"{rules}; add rule ip t c masquerade"]
        tried = subprocess.run(nft, capture_output=True, check=False)
        if tried.returncode != 0:
            return "the kernel has no NAT for nftables"
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)
    return ""


@dataclass
class Lan:
    """A bridge in a namespace of its own; `subnet` is three of an IPv4 address's numbers."""

    namespace: str
    subnet: str
    _next: Iterator[int] = field(default_factory=lambda: itertools.count(10))

    def next_ip(self) -> str:
        return f"{self.subnet}.{next(self._next)}"


@dataclass
class Machine:
    """A namespace with one cable to a LAN. `prefix` runs a command in it."""

    namespace: str
    ip: str
    lan: Lan
    port: str

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.namespace)

    def cut(self) -> None:
        """Pull the cable, without a word to either side."""
        _run("ip", "-n", self.lan.namespace, "link", "set", self.port, "nomaster")

    def mend(self) -> None:
        """Plug it in again."""
        _run("ip", "-n", self.lan.namespace, "link", "set", self.port, "master", "br0")

    def lose(self, percent: int) -> None:
        """Let so many of a hundred packets that come and go be lost, by chance."""
        _nft(
            self.namespace,
            "add table ip loss",
            "add chain ip loss in { type filter hook input priority 0; }",
            "add chain ip loss out { type filter hook output priority 0; }",
            *(
                f"add rule ip loss {chain} {way} w0 numgen random mod 100 < {percent} drop"
                for chain, way in (("in", "iifname"), ("out", "oifname"))
            ),
        )


class Lab:
    """Namespaces that are gone when the block is left."""

    def __init__(self) -> None:
        self._namespaces: list[str] = []
        self._count = itertools.count(1)

    def __enter__(self) -> Lab:
        _remove_orphans()
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._namespaces:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def lan(self, subnet: str) -> Lan:
        """A bridge that machines are plugged into; nothing leaves it."""
        name = self._namespace()
        _run("ip", "-n", name, "link", "add", "br0", "type", "bridge")
        _run("ip", "-n", name, "addr", "add", f"{subnet}.1/24", "dev", "br0")
        _run("ip", "-n", name, "link", "set", "br0", "up")
        return Lan(name, subnet)

    def host(self, lan: Lan) -> Machine:
        """A machine on a LAN, which sends the rest of the world's packets to the LAN's router."""
        name, ip, port = self._namespace(), lan.next_ip(), f"p{next(self._count)}"
        self._cable(lan, port, name, "w0", ip)
        _run("ip", "-n", name, "route", "add", "default", "via", f"{lan.subnet}.1")
        return Machine(name, ip, lan, port)

    def behind_nat(self, outside: Lan, subnet: str, *, drops: bool = True) -> Lan:
        """A LAN whose router hides it behind one address, and lets nobody in.

        Arguments:
            outside: where the router's other side is.
            subnet: of the LAN.
            drops: whether strangers hear nothing, or that nobody listens.
        """
        lan = self.lan(subnet)
        self._cable(outside, f"p{next(self._count)}", lan.namespace, "up0", outside.next_ip())
        _run("ip", "netns", "exec", lan.namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        stranger = "drop" if drops else "reject with tcp reset"
        _nft(
            lan.namespace,
            "add table ip nat",
            "add chain ip nat post { type nat hook postrouting priority 100; }",
            "add rule ip nat post oifname up0 masquerade",
            "add table ip wall",
            "add chain ip wall in { type filter hook input priority 0; }",
            "add chain ip wall through { type filter hook forward priority 0; }",
            "add rule ip wall through iifname up0 ct state new drop",
            f"add rule ip wall in iifname up0 meta l4proto tcp ct state new {stranger}",
        )
        return lan

    def join(self, one: Lan, other: Lan) -> None:
        """Route between two LANs, by a cable between their routers."""
        link = f"10.{200 + next(self._count)}.0"
        _run("ip", "-n", one.namespace, "link", "add", "x0", "type", "veth",
             "peer", "name", "x0", "netns", other.namespace)  # fmt: skip
        for name, number in ((one.namespace, 1), (other.namespace, 2)):
            _run("ip", "-n", name, "addr", "add", f"{link}.{number}/24", "dev", "x0")
            _run("ip", "-n", name, "link", "set", "x0", "up")
            _run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for here, there, number in ((one, other, 2), (other, one, 1)):
            _run("ip", "-n", here.namespace, "route", "add", f"{there.subnet}.0/24",
                 "via", f"{link}.{number}")  # fmt: skip

    def part(self, lan: Lan) -> None:
        """Let nothing pass between a LAN and the one that it was joined with, without a word."""
        _nft(
            lan.namespace,
            "add table ip parted",
            "add chain ip parted through { type filter hook forward priority 0; }",
            "add rule ip parted through iifname x0 drop",
            "add rule ip parted through oifname x0 drop",
        )

    def mend(self, lan: Lan) -> None:
        """Let all pass again."""
        _nft(lan.namespace, "delete table ip parted")

    def _namespace(self) -> str:
        name = f"{STEM}{os.getpid()}-{next(self._count)}"
        _run("ip", "netns", "add", name)
        self._namespaces.append(name)
        _run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def _cable(self, lan: Lan, port: str, namespace: str, device: str, ip: str) -> None:
        _run("ip", "-n", lan.namespace, "link", "add", port, "type", "veth",
             "peer", "name", device, "netns", namespace)  # fmt: skip
        _run("ip", "-n", lan.namespace, "link", "set", port, "master", "br0", "up")
        _run("ip", "-n", namespace, "addr", "add", f"{ip}/24", "dev", device)
        _run("ip", "-n", namespace, "link", "set", device, "up")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.decode()}"


def _nft(namespace: str, *rules: str) -> None:
    _run("ip", "netns", "exec", namespace, "nft", "; ".join(rules))


def _remove_orphans() -> None:
    """Namespaces of ours whose process is gone."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, check=False)
    for line in listed.stdout.decode().splitlines():
        name = line.split()[0]
        pid = name.removeprefix(STEM).split("-")[0]
        if name.startswith(STEM) and pid.isdigit() and not Path(f"/proc/{pid}").exists():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

"""A private network of real processes, each of which knows only its token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.nodes import RunningNode, aiplat
from tests.support.waiting import eventually

LOOPBACK = ("--listen", "/ip4/127.0.0.1/tcp/0")


class Fleet:
    """Members by name. Close it: it ends them all.

    Arguments:
        folder: where their homes lie.
    """

    def __init__(self, folder: Path) -> None:
        self.nodes: dict[str, RunningNode] = {}
        self._folder = folder
        self._arguments: dict[str, tuple[str, ...]] = {}

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes.values():
            node.close()

    def __getitem__(self, name: str) -> RunningNode:
        return self.nodes[name]

    def home(self, name: str) -> Path:
        """Where a member's files lie."""
        return self._folder / name

    def found(self, name: str, *serve: str) -> RunningNode:
        """Make the network, and start its owner."""
        done = aiplat(self.home(name), "network", "create", "lab")
        assert done.returncode == 0, done.stderr
        return self.start(name, *serve)

    def invite(self, role: str, *options: str, by: str | None = None) -> str:
        """A token by the owner, who is the first of all."""
        home = self.home(by or next(iter(self.nodes)))
        done = aiplat(home, "invite", "--role", role, "--json", *options)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["token"])

    def key(self, gateway: str, name: str) -> str:
        """An API key of that gateway's, made by its operator."""
        done = aiplat(self.home(gateway), "keys", "create", "--name", name, "--json")
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["key"])

    def join(self, name: str, token: str) -> None:
        """Let a home join, without a node."""
        done = aiplat(self.home(name), "join", stdin=token + "\n")
        assert done.returncode == 0, done.stderr

    def member(self, name: str, role: str, *serve: str) -> RunningNode:
        """Invite, join, and start."""
        self.join(name, self.invite(role))
        return self.start(name, "--role", role, *serve)

    def start(self, name: str, *serve: str) -> RunningNode:
        """Start a member; one that was started before with the same arguments if none are given."""
        arguments = serve or self._arguments[name]
        self._arguments[name] = arguments
        old = self.nodes.get(name)
        if old is not None:
            old.close()
        node = RunningNode(self.home(name), *LOOPBACK, *arguments)
        self.nodes[name] = node
        return node

    def peers(self, name: str) -> list[dict[str, Any]]:
        """The peers as that member lists them."""
        done = aiplat(self.home(name), "peers", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]  # it is a list

    def sees(self, name: str, other: str, state: str = "connected") -> bool:
        """Whether a member lists another in that state."""
        peer = self[other].peer_id
        return any(p["peer_id"] == peer and p["state"] == state for p in self.peers(name))

    def lists(self, name: str, other: str) -> bool:
        """Whether a member lists another at all."""
        return any(p["peer_id"] == self[other].peer_id for p in self.peers(name))

    def wait_until_sees(self, name: str, *others: str, seconds: float = 60) -> None:
        """Wait until a member has channels to all these."""
        for other in others:
            eventually(
                lambda other=other: self.sees(name, other),  # type: ignore[misc]  # bound now
                seconds,
                f"{name} sees {other}: {self[name].stderr[-2000:]}",
            )

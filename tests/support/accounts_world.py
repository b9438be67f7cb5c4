"""A gateway with accounts, its processors and clients: processes that are killed and return."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from aiplat.runtime.places import find_places
from tests.support.accounts_home import AccountsHome
from tests.support.fleet import LOOPBACK
from tests.support.nodes import Door, RunningNode
from tests.support.waiting import eventually

GATEWAY = "g"
_SOON = {"AIPLAT_NODE_RECONNECT_MAX_SECONDS": "0.5"}
_TELLS = {"AIPLAT_RUNTIME_LOG_LEVEL": "debug"}  # a processor's own counts are in its log


class Death(NamedTuple):
    """A node was killed, not later than `at` (monotonic seconds)."""

    name: str
    peer_id: str
    at: float


class World:
    """Nodes by name. Close it: it ends them all.

    Arguments:
        folder: where their homes lie.
        names: of the users that the gateway has.
        processors: names of nodes that serve `echo`.
        clients: names of clients, each with the name of the user whose key it has; empty for none.
        rate: tokens a second of each answer.
        slots: how many answers a processor gives at once.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        processors: Sequence[str],
        clients: dict[str, str],
        *,
        rate: float,
    ) -> None:
        self.home = AccountsHome(folder / GATEWAY, names)
        self.deaths: list[Death] = []
        self.processors = tuple(processors)
        self._folder = folder
        self._nodes: dict[str, RunningNode] = {}
        self._up: set[str] = set()
        self._arguments: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
            GATEWAY: (("--role", "gateway"), {})
        }
        for name in processors:
            serve = ("--role", "processor", "--model", "echo", "--echo-rate", str(rate))
            self._arguments[name] = (serve, _SOON | _TELLS)
        for name, user in clients.items():
            key = {"AIPLAT_API_KEY": self.home.key(user)} if user else {}
            self._arguments[name] = (("--role", "client"), _SOON | key)

    def __enter__(self) -> World:
        try:
            self.start(GATEWAY)
            with ThreadPoolExecutor(2) as pool:  # as many as start well at once
                list(pool.map(self.start, [name for name in self._arguments if name != GATEWAY]))
            eventually(self._serves, 60, "the gateway has the model")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all nodes."""
        for node in self._nodes.values():
            node.kill()
            node.close()

    def __getitem__(self, name: str) -> RunningNode:
        return self._nodes[name]

    def start(self, name: str) -> None:
        """Start a node, or start it again, and wait until it can be asked."""
        serve, environ = self._arguments[name]
        if name != GATEWAY:
            serve = (*serve, "--peer", self._nodes[GATEWAY].address)
        self._nodes[name] = RunningNode(
            self._folder / name, *LOOPBACK, *serve, environ=environ
        )  # fmt: skip
        if name == GATEWAY and self.deaths:
            eventually(self._serves, 60, "the gateway has the model again")
        self._up.add(name)

    def kill(self, name: str) -> Death:
        """End it as `kill -9` does."""
        node = self._nodes[name]
        self._up.discard(name)
        death = Death(name, node.peer_id, time.monotonic())
        node.kill()
        node.close()
        self.deaths.append(death)
        return death

    def door(self, name: str) -> RunningNode | None:
        """The node at whose door somebody may ask now; None while it, or the gateway, is down."""
        return self._nodes[name] if {name, GATEWAY} <= self._up else None

    def token(self, name: str) -> str:
        """A node's local token."""
        return find_places(str(self._folder / name), {}).token.read_text().strip()

    def _serves(self) -> bool:
        with Door(self._nodes[GATEWAY], self.token(GATEWAY)) as door:
            status, _, body = door.request("GET", "/v1/models")
        return status == 200 and any(model["id"] == "echo" for model in json.loads(body)["data"])

    def processed(self) -> dict[tuple[str, str], int]:
        """What the processors counted themselves: tokens by request and processor's peer id."""
        found: dict[tuple[str, str], int] = {}
        for name in self.processors:
            peer_id = self._nodes[name].peer_id
            logs = find_places(str(self._folder / name), {}).logs
            for path in sorted(logs.glob("node.jsonl*")):
                for line in path.read_bytes().splitlines():
                    whole = line.endswith(b"}")  # it may have died in the middle of one
                    if whole and b'"completion_tokens"' in line:
                        said = json.loads(line)
                        found[said["request"], peer_id] = said["completion_tokens"]
        return found

    def restart(self, name: str) -> Death:
        """Kill it, and start it again."""
        death = self.kill(name)
        self.start(name)
        return death

"""A private network of real processes that know only tokens and one entry address."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.support.nodes import aiplat
from tests.support.waiting import eventually

GATEWAYS = ("g1", "g2")
PROCESSORS = ("p1", "p2", "p3")
CLIENTS = ("c1", "c2")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """2 gateways, 3 processors, 2 clients; every token names the first gateway alone."""
    with Fleet(tmp_path_factory.mktemp("lab")) as fleet:
        fleet.found("g1", "--role", "gateway")
        fleet.member("g2", "gateway")
        for name in PROCESSORS:
            fleet.member(name, "processor", "--model", "echo", "--echo-rate", "40")
        for name in CLIENTS:
            fleet.member(name, "client")
        for gateway in GATEWAYS:
            fleet.wait_until_sees(gateway, *PROCESSORS)
        for client in CLIENTS:
            fleet.wait_until_sees(client, *GATEWAYS)
        yield fleet


def ask(fleet: Fleet, client: str, *words: str, timeout: float = 60) -> str:
    """Ask through a client; gives the answer."""
    done = aiplat(fleet.home(client), "ask", "--model", "echo", *words, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_everyone_is_found_and_answers_come(fleet: Fleet) -> None:
    for client in CLIENTS:
        assert "hello" in ask(fleet, client, "hello network")


def test_killed_processor_is_gone_and_returns(fleet: Fleet) -> None:
    fleet["p3"].kill()
    for gateway in GATEWAYS:
        eventually(lambda g=gateway: not fleet.lists(g, "p3"), 15)  # type: ignore[misc]
    fleet.start("p3")
    for gateway in GATEWAYS:
        fleet.wait_until_sees(gateway, "p3")


def test_frozen_processor_is_gone_and_returns(fleet: Fleet) -> None:
    fleet["p2"].signal(signal.SIGSTOP)
    try:
        for gateway in GATEWAYS:
            eventually(lambda g=gateway: not fleet.lists(g, "p2"), 15)  # type: ignore[misc]
    finally:
        fleet["p2"].signal(signal.SIGCONT)
    for gateway in GATEWAYS:
        fleet.wait_until_sees(gateway, "p2")


class LightLoad:
    """Requests one after the other through a client until it is told to stop."""

    def __init__(self, fleet: Fleet, client: str) -> None:
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._fleet = fleet
        self._client = client
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> LightLoad:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(90)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        while not self._enough.is_set():
            words = "one two three four five six seven eight"
            done = aiplat(self._fleet.home(self._client), "ask", "--model", "echo", "--json", words)
            if done.returncode == 0:
                self.answers.append(done.stdout)
            else:
                self.failures.append(f"{done.returncode}: {done.stdout} {done.stderr}")


def test_rolling_restart_loses_no_request(fleet: Fleet) -> None:
    with LightLoad(fleet, "c1") as one, LightLoad(fleet, "c2") as two:
        for name in (*PROCESSORS, *GATEWAYS):
            assert aiplat(fleet.home(name), "drain").returncode == 0
            fleet[name].stop(40)
            fleet.start(name)
            for gateway in GATEWAYS:
                if name in PROCESSORS:
                    fleet.wait_until_sees(gateway, name)
                elif gateway == name:
                    fleet.wait_until_sees(gateway, *PROCESSORS)
            if name in GATEWAYS:
                for client in CLIENTS:
                    fleet.wait_until_sees(client, name)
    assert one.failures == two.failures == []
    assert len(one.answers) + len(two.answers) > 10


def test_the_uncertified_get_nothing(fleet: Fleet, tmp_path: Path) -> None:
    """A processor and a gateway of another network, that know the address, get no channel."""
    with Fleet(tmp_path) as others:
        others.found("stranger", "--role", "gateway", "--role", "processor", "--model", "echo",
                     "--peer", fleet["g1"].address)  # fmt: skip
        stranger = others["stranger"].peer_id
        eventually(
            lambda: any(p["note"] for p in others.peers("stranger")), 30, "it is told why not"
        )
        assert all(p["state"] != "connected" for p in others.peers("stranger"))
        assert not any(p["peer_id"] == stranger for p in fleet.peers("g1"))


def test_the_revoked_are_out_within_a_minute(fleet: Fleet) -> None:
    fleet.member("p4", "processor", "--model", "echo")
    for gateway in GATEWAYS:
        fleet.wait_until_sees(gateway, "p4")
    began = time.monotonic()
    done = aiplat(fleet.home("g1"), "network", "revoke", fleet["p4"].peer_id)
    assert done.returncode == 0, done.stderr
    for gateway in GATEWAYS:
        eventually(lambda g=gateway: not fleet.lists(g, "p4"), 60)  # type: ignore[misc]
    assert time.monotonic() - began < 60
    members = json.loads(aiplat(fleet.home("g1"), "network", "members", "--json").stdout)
    revoked = [m["peer_id"] for m in members["members"] if m["revoked"]]
    assert revoked == [fleet["p4"].peer_id]

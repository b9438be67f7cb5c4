"""The accounts' file fails under a gateway that serves: nothing uncounted, nobody waits."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.accounts_load import Plan, Told, ask
from tests.support.accounts_troubles import (
    Trouble,
    full,
    locked,
    overwritten,
    removed,
    replaced,
    small_disk,
)
from tests.support.accounts_world import GATEWAY, World
from tests.support.nodes import Door, RunningNode, aiplat, chat
from tests.support.waiting import eventually

RATE = 25.0
LONG = (30, 90, 250)
"""Tokens of the answers under way: one ends while the store fails, one lasts until it is back."""
STALL_SECONDS = 1.0
PROMPT = "all that is said is counted"
FAILURES = "aiplat_accounts_store_failures_total"
LOST = "aiplat_channels_lost_total"
pytestmark = pytest.mark.slow


class Passers:
    """People who ask for a word, one after the other, and others who ask whether the node lives."""

    def __init__(self, node: RunningNode, token: str) -> None:
        self.served: list[str] = []
        self.refused: list[tuple[str, str]] = []
        """Their requests, each with what was said."""
        self.slowest = 0.0
        self._node = node
        self._token = token
        self._over = threading.Event()
        self._faults: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._again, args=(step,)) for step in (self._ask, self._look)
        ]

    def __enter__(self) -> Passers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        if kind is None and self._faults:
            raise self._faults[0]

    def _again(self, step: Callable[[], None]) -> None:
        try:
            while not self._over.wait(0.02) and not self._faults:
                step()
        except BaseException as fault:  # noqa: BLE001  # whoever waits for it gets it
            self._faults.append(fault)

    def _ask(self) -> None:
        with Door(self._node, self._token) as door:
            wish = chat(PROMPT, max_tokens=1)
            status, headers, body = door.request("POST", "/v1/chat/completions", wish)
        request = headers["x-request-id"]
        if status == 200:
            self.served.append(request)
            return
        assert status == 503, body
        assert b'"code":"not_ready"' in body, body
        assert int(headers["retry-after"]) >= 1
        self.refused.append((request, body.decode()))

    def _look(self) -> None:
        began = time.monotonic()
        with Door(self._node, "") as door:
            status, _, _ = door.request("GET", "/healthz")
        self.slowest = max(self.slowest, time.monotonic() - began)
        assert status == 200


def figures(world: World, name: str) -> float:
    """The sum of a metric's series."""
    with Door(world[GATEWAY], world.token(GATEWAY)) as door:
        _, _, page = door.request("GET", "/metrics")
    lines = [line for line in page.decode().splitlines() if line.startswith(name)]
    assert lines, name
    return sum(float(line.rpartition(" ")[2]) for line in lines)


class Story:
    """What happens while a trouble comes and goes."""

    def __init__(self, world: World, trouble: Trouble, says: str) -> None:
        self._world = world
        self._trouble = trouble
        self._says = says
        self._node = world[GATEWAY]
        self._token = world.token(GATEWAY)

    def tell(self) -> None:
        """Live through it, and look at the books."""
        before = len(self._world.home.events())
        with ThreadPoolExecutor() as pool, Passers(self._node, self._token) as passers:
            long = [pool.submit(self._listen, tokens) for tokens in LONG]
            eventually(lambda: len(self._world.home.running()) >= len(LONG), 20, "all under way")
            eventually(lambda: passers.served, 20, "somebody was served before")
            began, ended = self._suffer(passers)
            count = len(passers.served)
            eventually(lambda: len(passers.served) >= count + 3, 20, "it serves again by itself")
            told = [future.result() for future in long]
        self._look(passers, told, before)
        assert any(began < when < ended for when, _ in told[-1].seen), "answers did not go on"

    def _listen(self, tokens: int) -> Told:
        plan = Plan(GATEWAY, "", PROMPT, tokens, streams=True, leaves_after=None)
        return ask(plan, self._node, self._token)

    def _log(self) -> str:
        return (self._world.home.places.logs / "node.jsonl").read_text("utf-8")

    def _suffer(self, passers: Passers) -> tuple[float, float]:
        """The trouble; gives when it was surely felt, and when it was over."""
        failures = figures(self._world, FAILURES)
        with self._trouble(self._world.home.places.accounts):
            eventually(lambda: passers.refused, 15, "nobody is let in")
            began, count = time.monotonic(), len(passers.refused)
            assert "the database of its accounts fails, and its log" in passers.refused[-1][1]
            eventually(lambda: self._says in self._log(), 15, "the log says why")
            eventually(
                lambda: figures(self._world, FAILURES) >= failures + 2, 15, "failures are counted"
            )
            eventually(lambda: len(passers.refused) >= count + 10, 15, "it stays so")
            return began, time.monotonic()

    def _look(self, passers: Passers, told: list[Told], before: int) -> None:
        home = self._world.home
        count = before + len(told) + len(passers.served)
        eventually(lambda: len(home.events()) >= count, 20, "all is counted")
        events = home.by_request()
        assert len(events) == count
        for one in told:
            assert (one.end, one.tokens) == ("done", one.plan.max_tokens)
            assert events[one.request].completion == one.tokens
        assert all(events[request].completion == 1 for request in passers.served)
        assert not any(request in events for request, _ in passers.refused)
        assert passers.slowest < STALL_SECONDS
        assert figures(self._world, LOST) == 0, "a heartbeat was missed"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway that lives through one trouble after the other."""
    with World(tmp_path_factory.mktemp("store"), (), ("p",), {}, rate=RATE) as world:
        yield world
        world.kill(GATEWAY)
        done = aiplat(world.home.path, "db", "check")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (locked, "another program holds it: close that"),
        (removed, "is gone (No such file or directory). Put it back"),
        (replaced, "was replaced by another file while the node runs. Put it back"),
        (overwritten, "was overwritten, and is no database any more. Put it back"),
    ],
    ids=["locked", "removed", "replaced", "overwritten"],
)
def test_nothing_is_let_in_uncounted_and_answers_under_way_go_on(
    world: World, trouble: Trouble, says: str
) -> None:
    Story(world, trouble, says).tell()


def test_a_full_disk_is_lived_through(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(small_disk(tmp_path / GATEWAY / "data", "3m"))
        except PermissionError as why:
            pytest.skip(str(why))
        world = stack.enter_context(World(tmp_path, (), ("p",), {}, rate=RATE))
        Story(world, full, "make room on its disk").tell()
        world.kill(GATEWAY)
        done = aiplat(world.home.path, "db", "check")
        assert done.returncode == 0, done.stdout + done.stderr

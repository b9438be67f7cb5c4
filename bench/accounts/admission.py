"""One admission: a key is looked up, all its limits and its user's are asked, and it is settled.

    .venv/bin/python bench/accounts/admission.py FOLDER USERS KEYS ROUNDS REQUESTS

A program of its own, so that the memory is its own too: it makes the store, opens it as a gateway
does, and prints what it found as JSON. Each call is timed by itself. In each round the kinds of
requests take turns; of those that are let in a hundred are under way at any time, and the oldest
ends when the next one comes, as a whole answer of 50 tokens. Nothing is written to the disk
meanwhile (`rows` measures that), but what there is to write is taken at each hundredth request.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])  # the checkout in place of this folder

from aiplat.accounts.accounts import Accounts
from aiplat.accounts.meter import Lease
from aiplat.domain.errors import AiplatError
from bench.accounts.people import People, accounts_in, add_people
from bench.accounts.traffic import ANSWER, DONE, MODEL, PROMPT, TIMINGS, WHOLE
from bench.engine.memory import pss_mib

UNDER_WAY = 100
Nanoseconds = dict[str, list[int]]


class Requests:
    """Lets requests in and ends them, each step timed."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._live: deque[Lease] = deque()
        self._count = 0

    def let_in(self, keys: Sequence[str]) -> Nanoseconds:
        """One request of each key; as many are under way afterwards as before."""
        admit, clock = self._accounts.admission.admit, time.perf_counter_ns
        taken: Nanoseconds = {"admit": [], "settle": []}
        for text in keys:
            name = self._name()
            began = clock()
            lease = admit(name, text, None, MODEL, PROMPT, ANSWER)
            taken["admit"].append(clock() - began)
            lease.progress = WHOLE
            self._live.append(lease)
            if len(self._live) > UNDER_WAY:
                taken["settle"].append(self._settle(self._live.popleft()))
        while self._live:
            taken["settle"].append(self._settle(self._live.popleft()))
        return taken

    def refuse(self, keys: Sequence[str]) -> Nanoseconds:
        """The same where none is let in."""
        admit, clock = self._accounts.admission.admit, time.perf_counter_ns
        taken: Nanoseconds = {"admit": []}
        for text in keys:
            name = self._name()
            began = clock()
            try:
                admit(name, text, None, MODEL, PROMPT, ANSWER)
            except AiplatError:
                taken["admit"].append(clock() - began)
            else:
                raise SystemExit("a request was let in that should have been refused")
        return taken

    def at_the_door(self, keys: Sequence[str]) -> Nanoseconds:
        """What the HTTP door asks besides: whether the key holds, and how far its limits are."""
        accounts, clock = self._accounts, time.perf_counter_ns
        taken: Nanoseconds = {"admit": []}
        for text in keys:
            began = clock()
            accounts.check_key(text, "inference")
            accounts.admission.state(text)
            taken["admit"].append(clock() - began)
        return taken

    def floor(self, keys: Sequence[str]) -> Nanoseconds:
        """What cannot be left out of it."""
        table, clock = {sha256(text.encode()).digest(): text for text in keys}, time.perf_counter_ns
        taken: Nanoseconds = {"admit": []}
        for text in keys:
            began = clock()
            table.get(sha256(text.encode()).digest())
            taken["admit"].append(clock() - began)
        return taken

    def _name(self) -> str:
        self._count += 1
        if not self._count % UNDER_WAY:
            self._accounts.meter.take()
        return f"req-{self._count:024x}"

    def _settle(self, lease: Lease) -> int:
        """What a request tells the accounts after its admission: its prompt's length, its end."""
        began = time.perf_counter_ns()
        lease.started(PROMPT)
        lease.end(DONE, MODEL, "stop", TIMINGS)
        return time.perf_counter_ns() - began


def kinds(
    people: People, requests: Requests, count: int, rounds: int
) -> Iterator[tuple[str, Callable[[], Nanoseconds]]]:
    """What is measured, `rounds` times in turns: a name, and what does `count` requests of it."""
    chance = random.Random(2)
    fresh = iter(people.limited)
    known = [next(fresh) for _ in range(min(count, len(people.limited) // 2))]
    requests.let_in([*known, people.spent, *people.unlimited[:count]])
    each = min(count, (len(people.limited) - len(known)) // rounds)
    for _ in range(rounds):
        some = chance.choices(known, k=count)
        first = [next(fresh) for _ in range(each)]
        free = chance.choices(people.unlimited[:count], k=count)
        wrong = [text[:-1] + ("a" if text[-1] != "a" else "b") for text in some]
        yield "limited", lambda some=some: requests.let_in(some)
        yield "same", lambda: requests.let_in(known[:1] * count)
        yield "first", lambda first=first: requests.let_in(first)
        yield "unlimited", lambda free=free: requests.let_in(free)
        yield "spent", lambda: requests.refuse([people.spent] * count)
        yield "wrong", lambda wrong=wrong: requests.refuse(wrong)
        yield "door", lambda some=some: requests.at_the_door(some)
        yield "floor", lambda some=some: requests.floor(some)


def measure(folder: Path, users: int, keys: int, rounds: int, count: int) -> dict[str, Any]:
    """Make a store in an empty folder, open it, and ask.

    Returns:
        Of the opening, and of each kind and step the p50 and p99 of each round in microseconds.
    """
    people = add_people(folder, users, keys)
    before = pss_mib(os.getpid())
    began = time.perf_counter()
    accounts = accounts_in(folder)
    accounts.open()
    opened = time.perf_counter() - began
    gc.collect()
    found: dict[str, Any] = {"open_s": opened, "open_mib": pss_mib(os.getpid()) - before}
    gc.freeze()  # as a node does when it is ready: see aiplat.runtime.run
    rows: dict[str, dict[str, list[float]]] = {}
    for name, work in kinds(people, Requests(accounts), count, rounds):
        for step, taken in work().items():
            row = rows.setdefault(f"{name}.{step}", {"p50_us": [], "p99_us": []})
            row["p50_us"].append(_rank(taken, 0.5))
            row["p99_us"].append(_rank(taken, 0.99))
    return found | {"rows": rows, "peak_mib": _peak_mib()}


def _rank(taken: list[int], share: float) -> float:
    return sorted(taken)[int(share * len(taken))] / 1000


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    where, *numbers = sys.argv[1:]
    print(json.dumps(measure(Path(where), *map(int, numbers))))

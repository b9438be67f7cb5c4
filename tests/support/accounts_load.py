"""Many people who ask `echo` through doors, each of whom keeps a count of its own.

What a person got is told from the text alone: `echo` says its prompt's tokens over and over, so
that the text says how many tokens it is, and whether one is missing or came twice.
"""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiplat.engine import pieces
from tests.support.nodes import Door, RunningNode, chat
from tests.support.waiting import eventually

DOOR_SECONDS = 60.0
_WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "again", "today")


@dataclass(frozen=True)
class Plan:
    """What one person does.

    Arguments:
        door: the name of the node at whose door it asks.
        key: the API key that it shows; empty for the node's local token.
        max_tokens: what it asks for.
        streams: whether it reads tokens as they come.
        leaves_after: tokens after which it goes away; None stays to the end.
    """

    door: str
    key: str
    prompt: str
    max_tokens: int
    streams: bool
    leaves_after: int | None


@dataclass
class Told:
    """What one person saw of its request.

    Arguments:
        request: its id; empty when nobody told one.
        tokens: those that it got, by its own count.
        seen: moments (monotonic seconds), each with the tokens that were there by then.
        usage: what it was told at the end that it came to.
        end: ``done``, ``left``, ``broken`` (the connection ended without a word), or an error's
            code.
    """

    plan: Plan
    request: str = ""
    tokens: int = 0
    seen: list[tuple[float, int]] = field(default_factory=list)
    usage: int | None = None
    end: str = "broken"
    began: float = 0.0
    ended: float = 0.0

    def tokens_before(self, moment: float) -> int:
        """The tokens that it had at that moment."""
        at = bisect_right(self.seen, (moment, 10**9))
        return self.seen[at - 1][1] if at else 0


class Counting:
    """Counts the tokens of an answer by its text; fails when it is no part of what echo says."""

    def __init__(self, prompt: str) -> None:
        self._texts = pieces.cut(prompt)
        self._ends: list[int] = []
        self._said = ""
        self._more = itertools.cycle(self._texts)
        self.text = ""

    def add(self, text: str) -> int:
        """More of it came; gives the tokens so far, those left out that are not whole."""
        self.text += text
        while len(self._said) < len(self.text):
            self._said += next(self._more)
            self._ends.append(len(self._said))
        assert self._said.startswith(self.text), "a token is missing, or came twice"
        return bisect_right(self._ends, len(self.text))


def plans(
    count: int, doors: Sequence[tuple[str, str]], seed: int, *, rate: float, longest: float = 2.5
) -> list[Plan]:
    """What `count` people do, the same for the same seed.

    Arguments:
        doors: where they ask, each with the key that is shown there.
        rate: tokens a second of each answer.
        longest: seconds of the longest answer.
    """
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        door, key = draw.choice(doors)
        most = draw.choice((draw.randint(1, 8), draw.randint(1, max(8, round(rate * longest)))))
        leaves = draw.randint(1, most) if draw.random() < 0.2 and most > 1 else None
        streams = leaves is not None or draw.random() < 0.7
        prompt = " ".join(draw.choice(_WORDS) for _ in range(draw.randint(3, 30)))
        made.append(Plan(door, key, prompt, most, streams, leaves))
    return made


def ask(plan: Plan, node: RunningNode, token: str) -> Told:
    """Do what one person does, to the end."""
    told = Told(plan, began=time.monotonic())
    body = chat(plan.prompt, max_tokens=plan.max_tokens)
    try:
        with Door(node, token, DOOR_SECONDS) as door:
            if plan.streams:
                _read_stream(door, body, told)
            else:
                _read_whole(door, body, told)
    except (OSError, http.client.HTTPException):
        pass  # the node died: the connection broke, or there is none
    told.ended = time.monotonic()
    return told


def _read_whole(door: Door, body: dict[str, Any], told: Told) -> None:
    response = door.send("POST", "/v1/chat/completions", body)
    told.request = response.getheader("x-request-id") or ""
    answer = json.loads(response.read())
    if response.status != 200:
        told.end = answer["error"]["code"]
        return
    told.tokens = Counting(told.plan.prompt).add(answer["choices"][0]["message"]["content"])
    told.seen.append((time.monotonic(), told.tokens))
    told.usage = answer["usage"]["completion_tokens"]
    told.end = "done"


def _read_stream(door: Door, body: dict[str, Any], told: Told) -> None:
    more = {"stream": True, "stream_options": {"include_usage": True}}
    response = door.send("POST", "/v1/chat/completions", body | more)
    told.request = response.getheader("x-request-id") or ""
    if response.status != 200:
        told.end = json.loads(response.read())["error"]["code"]
        return
    counting = Counting(told.plan.prompt)
    while line := response.readline():
        if not line.startswith(b"data: "):
            continue
        if line.startswith(b"data: [DONE]"):
            told.end = "done"
            return
        _take(json.loads(line[6:]), counting, told)
        if told.end != "broken":
            return
        if told.plan.leaves_after is not None and told.tokens >= told.plan.leaves_after:
            told.end = "left"
            return


def _take(data: Any, counting: Counting, told: Told) -> None:
    """One event of a stream."""
    if "error" in data:
        told.end = data["error"]["code"]
        return
    if data.get("usage"):
        told.usage = data["usage"]["completion_tokens"]
    for choice in data["choices"]:
        told.tokens = counting.add(choice["delta"].get("content", ""))
        told.seen.append((time.monotonic(), told.tokens))


class Crowd:
    """`size` people at a time work through the plans, while nodes may die.

    Arguments:
        node: gives the node that a plan's door is at; None while it is down.
        token: of a node's local account, by the node's name.
    """

    def __init__(
        self,
        todo: Sequence[Plan],
        size: int,
        node: Callable[[str], RunningNode | None],
        token: Callable[[str], str],
    ) -> None:
        self.told: list[Told] = []
        self._todo = iter(todo)
        self._node = node
        self._token = token
        self._lock = threading.Lock()
        self._faults: list[BaseException] = []
        self._threads = [threading.Thread(target=self._live, daemon=True) for _ in range(size)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._lock:
            self._todo = iter(())
        for thread in self._threads:
            thread.join(DOOR_SECONDS)
        if kind is None and self._faults:
            raise self._faults[0]

    @property
    def done(self) -> int:
        """How many plans came to an end."""
        return len(self.told)

    def wait(self, count: int, seconds: float) -> None:
        """Wait until so many came to an end."""

        def enough() -> bool:
            return self.done >= count or bool(self._faults)

        eventually(enough, seconds, f"{count} requests, of which {self.done} are done")
        if self._faults:
            raise self._faults[0]

    def _live(self) -> None:
        try:
            while (plan := self._next()) is not None:
                door = plan.door
                node = eventually(partial(self._node, door), DOOR_SECONDS, door)
                assert node is not None
                told = ask(plan, node, plan.key or self._token(door))
                with self._lock:
                    self.told.append(told)
        except BaseException as fault:  # noqa: BLE001  # whoever waits for it gets it
            self._faults.append(fault)

    def _next(self) -> Plan | None:
        with self._lock:
            return next(self._todo, None)

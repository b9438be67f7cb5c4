"""The full screen in a process of its own, before a node that is made up: it streams as told.

    python -m bench.tui.load stream SECONDS RATE FILE
    python -m bench.tui.load table SECONDS RATE FILE
    python -m bench.tui.load memory QUESTIONS FILE

What was measured goes into FILE, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from aiplat.control.calls import Call, Reply
from aiplat.control.events import Event
from aiplat.control.history import HistoryCall, HistoryList
from aiplat.control.messages import (
    Accepted,
    Ask,
    Done,
    ModelStatus,
    NetworkStatus,
    Status,
)
from aiplat.domain.answers import Delta, Finished, Started
from aiplat.domain.conversations import AnswerFacts, Conversation, Turn
from aiplat.domain.errors import NotReady
from aiplat.domain.models import Manifest
from aiplat.domain.usage import Usage
from aiplat.tui.app import AiplatApp
from aiplat.tui.chat.pane import ChatPane
from aiplat.tui.chat.talk import new_id
from aiplat.tui.preferences import Preferences, PreferencesFile

TEXT = (
    "## A heading\n\nSome **bold** words, some `code`, and a sentence that goes on until it has to "
    "be broken at the end of its line, as answers do.\n\n1. first\n2. second\n3. third\n\n"
    "```python\ndef add(a, b):\n    return a + b  # a comment\n```\n\n"
    "| a | b |\n|---|--:|\n| 1 | 2 |\n\nAnd a last paragraph with a few more words in it.\n\n"
)
TABLE_HEAD = "| name | what it does | cost |\n|---|---|--:|\n"
TABLE_ROW = "| row {0} | some **bold** words about it, and `code {0}` | {0}00 |\n"
MANIFEST = Manifest(
    name="model", weights="", tokenizer="", template="", recipe=1, dtype="", context=8192,
    vocabulary=1000, backend="",
)  # fmt: skip
STATUS = Status(
    peer_id="12D3KooW" + "a" * 44, addresses=(), http="", control="", roles=("client", "gateway"),
    models=(ModelStatus(name="model", state="ready", processors=1, slots=8),), peers=(),
    version="0", pid=1, network=NetworkStatus(name="lab", key=""),
)  # fmt: skip


class MadeUp:
    """A node that answers with `TEXT`, over and over, or with one long table (`Link`).

    Arguments:
        tokens: of an answer, of four characters each.
        rate: tokens a second; 0 for as fast as they are taken.
        history: the one conversation that it keeps.
        table: whether it answers with a table.
    """

    def __init__(
        self, tokens: int, rate: float, history: Conversation | None = None, *, table: bool = False
    ) -> None:
        self._table = table
        self._tokens = tokens
        self._rate = rate
        self._history = history

    async def call(self, call: Call[Reply]) -> Reply:
        """What a node says of itself."""
        wish = call.wish
        said: Any = STATUS
        if isinstance(wish, HistoryCall):
            said = {
                "list": HistoryList(conversations=()), "show": self._history,
                "save": Done(message=""),
            }[wish.method]  # fmt: skip
        if not isinstance(said, call.reply):
            raise NotReady("nothing is made up for that")
        return said

    async def ask(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """Give an answer."""
        yield Accepted(request="req-1", kept=True)
        yield Started(manifest=MANIFEST, prompt_tokens=10)
        loop = asyncio.get_running_loop()
        began = loop.time()
        text = self._text()
        for number in range(self._tokens):
            if self._rate:
                while (loop.time() - began) * self._rate < number:
                    await asyncio.sleep(0.004)
            elif number % 10 == 0:
                await asyncio.sleep(0)
            yield Delta(ids=(number,), text=text[4 * number : 4 * number + 4])
        yield Finished(reason="stop", usage=Usage(10, self._tokens))

    def _text(self) -> str:
        many = 4 * self._tokens
        if self._table:
            return TABLE_HEAD + "".join(map(TABLE_ROW.format, range(many // len(TABLE_ROW) + 1)))
        return TEXT * (many // len(TEXT) + 1)

    def follow(self, request: str) -> AsyncGenerator[Event, None]:
        """No answer is followed."""
        raise NotReady("nothing is made up for that")


def long_history(messages: int) -> Conversation:
    """A conversation of so many messages, every second one an answer of some length."""
    turns: list[Turn] = []
    for number in range(messages):
        answer = number % 2 == 1
        turns.append(Turn(
            id=new_id("trn"), parent=turns[-1].id if turns else "", at=number,
            role="assistant" if answer else "user", text=TEXT if answer else f"Question {number}?",
            facts=AnswerFacts(state="done", reason="stop", model="model") if answer else None,
        ))  # fmt: skip
    return Conversation(id=new_id("cnv"), title="long", head=turns[-1].id, turns=tuple(turns))


def resident_mib() -> float:
    """Memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


class Measured(AiplatApp):
    """The screen, which does by itself what a person would, and then leaves.

    Arguments:
        link: the made-up node.
        what: the part; `many` seconds, or questions.
        conversation: the one that is opened first.
    """

    def __init__(self, link: MadeUp, what: str, many: float, conversation: str = "") -> None:
        file = PreferencesFile(None)
        wanted = Preferences(welcomed=True)
        file.read = lambda: (wanted, "")  # type: ignore[method-assign]  # for this run only
        super().__init__(link, preferences=file)
        self._what = what
        self._many = many
        self._conversation = conversation
        self.found: dict[str, object] = {}

    async def _furnish(self) -> None:
        await super()._furnish()
        self.run_worker(self._act(), exit_on_error=True)

    async def _act(self) -> None:
        pane = self.pane
        assert isinstance(pane, ChatPane)
        if self._conversation:
            began = time.perf_counter()
            pane._open(self._conversation)
            while pane.talk.conversation.id != self._conversation:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
            self.found["open_seconds"] = time.perf_counter() - began
            while pane.transcript._begin:
                await asyncio.sleep(0.05)
        await (self._asking(pane) if self._what == "memory" else self._streaming(pane))
        self.exit()

    async def _streaming(self, pane: ChatPane) -> None:
        loop, lags = asyncio.get_running_loop(), []
        pane._begin(pane.talk, pane.talk.question("Go on"))
        await asyncio.sleep(0.5)
        cpu, wall = time.process_time(), time.perf_counter()
        while time.perf_counter() - wall < self._many:
            before = loop.time()
            await asyncio.sleep(0.01)
            lags.append(loop.time() - before - 0.01)
        spent = time.process_time() - cpu
        lags.sort()
        self.found |= {
            "cpu": spent / (time.perf_counter() - wall),
            "lag_p50_ms": 1000 * lags[len(lags) // 2],
            "lag_p95_ms": 1000 * lags[int(0.95 * len(lags))],
            "lag_max_ms": 1000 * lags[-1],
            "mib": resident_mib(),
        }

    async def _asking(self, pane: ChatPane) -> None:
        sizes: list[float] = []
        for number in range(int(self._many)):
            pane._begin(pane.talk, pane.talk.question(f"Question {number}?"))
            while pane.talk.running or self.screen._message_queue.qsize():  # until it is drawn, too
                await asyncio.sleep(0.01)
            sizes.append(round(resident_mib(), 1))
        self.found["mib"] = sizes


def main() -> None:
    """Measure one part."""
    what, many = sys.argv[1], float(sys.argv[2])
    if what in ("stream", "table"):
        rate, history = float(sys.argv[3]), long_history(500)
        link = MadeUp(int(rate * (many + 2)), rate, history, table=what == "table")
        app = Measured(link, what, many, history.id)
    else:
        app = Measured(MadeUp(500, 0.0), what, many)
    app.run()
    Path(sys.argv[-1]).write_text(json.dumps(app.found))


if __name__ == "__main__":
    main()

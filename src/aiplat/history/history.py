"""The history of a node: told and asked on the loop, kept by one thread.

What is wrong with the file reaches who asks as one sentence (`NotReady`), and nobody else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from aiplat.control.history import METHODS, ConversationName, HistoryCall
from aiplat.domain.conversations import AnswerFacts, Conversation, Turn
from aiplat.domain.errors import AiplatError, InvalidRequest, NotReady, clip
from aiplat.history.desk import HistoryDesk
from aiplat.history.settings import HistorySettings
from aiplat.history.store import Full
from aiplat.telemetry.metrics import Metrics

T = TypeVar("T")

log = logging.getLogger("aiplat.history")

WAIT_SECONDS = 10.0
"""For the thread: a face waits for fifteen."""
LAST_SECONDS = 2.0
"""What the disk gets for closing when the node ends."""
HOUR = 3600.0


class History:
    """A person's conversations.

    Arguments: as of `HistoryDesk`; besides
        metrics: where refusals for a bound are counted.
    """

    def __init__(
        self,
        path: Path,
        settings: HistorySettings,
        metrics: Metrics,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._desk = HistoryDesk(path, settings, now)
        self._metrics = metrics
        # A thread that hangs on a dead disk goes on when nobody waits for it: the next waits.
        self._one = trio.CapacityLimiter(1)
        self._retained = trio.Event()

    async def answer(self, method: str, wish: msgspec.Struct) -> msgspec.Struct:
        """Do what a face asks (`METHODS`).

        Raises:
            AiplatError: it cannot be done, or the file cannot be used.
        """
        is_wanted = True
        try:
            return await self._use(partial(self._desk.answer, method, wish, lambda: is_wanted))
        finally:
            is_wanted = False  # a search ends where it is
            if method == "retain":
                self._retained.set()

    async def whole_id(self, name: ConversationName) -> str:
        """The id of the conversation that is named.

        Raises:
            AiplatError: there is none, or the file cannot be used.
        """
        return await self._use(partial(self._desk.whole_id, name))

    async def begin(self, conversation: Conversation, answer: Turn) -> str:
        """Keep a conversation, and begin an answer in it; gives what befell the file, in words.

        Who is cancelled meanwhile hears how it went all the same: the answer has begun or not.

        Raises:
            AiplatError: it cannot be kept; then nothing of it is, also not a moment later.
        """
        is_wanted = True
        try:
            with trio.CancelScope(shield=True):  # `_use` has a deadline
                begin = partial(self._desk.begin, conversation, answer, lambda: is_wanted)
                note = await self._use(begin)
            return note
        finally:
            is_wanted = False

    async def write(self, conversation: str, answer: str, text: str, facts: AnswerFacts) -> bool:
        """Write what has come of an answer; whether its conversation is still kept.

        Raises:
            AiplatError: it cannot be written.
        """
        return await self._use(partial(self._desk.write, conversation, answer, text, facts))

    async def keep_tidy(self) -> None:
        """End what an earlier node left, and delete what is too old.

        Now, each hour, and when the days change. Each step lets others come in between.
        """
        while True:
            try:
                while await self._use(self._desk.tidy):
                    pass
                while await self._use(self._desk.erase):
                    pass
            except AiplatError as fault:
                log.warning("old conversations are not looked through: %s", fault)
            with trio.move_on_after(HOUR):
                await self._retained.wait()
            self._retained = trio.Event()

    async def close(self) -> None:
        """Let go of the file."""
        with trio.move_on_after(LAST_SECONDS, shield=True):
            await trio.to_thread.run_sync(
                self._desk.close, abandon_on_cancel=True, limiter=self._one
            )

    async def _use(self, work: Callable[[], T]) -> T:
        try:
            with trio.fail_after(WAIT_SECONDS):
                return await trio.to_thread.run_sync(
                    work, abandon_on_cancel=True, limiter=self._one
                )
        except trio.TooSlowError:
            raise NotReady(
                f"The conversations' file did not answer within {WAIT_SECONDS:g} s: its disk hangs "
                "or has too much to do. Look what is there before you try again.",
                retry_after=5,
            ) from None
        except Full as full:
            self._hit(full.bound)
            raise
        except AiplatError:
            raise
        except Exception as fault:  # a fault of ours costs a conversation, and not the node
            log.exception("the conversations' file could not be used")
            raise NotReady(
                f"The conversations' file failed ({type(fault).__name__}); the log has it."
            ) from None

    def _hit(self, bound: str) -> None:
        self._metrics.bound_hits.labels(bound).inc()


def read_call(call: HistoryCall) -> tuple[str, msgspec.Struct]:
    """Read what a face asks: the method's name, and its wish.

    Raises:
        InvalidRequest: there is no such method, or the wish does not fit it.
    """
    method = METHODS.get(call.method)
    if method is None:
        raise InvalidRequest(
            f"Nothing called {clip(call.method)!r} can be asked of the conversations. Known: "
            f"{', '.join(METHODS)}.",
            param="method",
        )
    try:
        return method.name, msgspec.json.decode(call.wish, type=method.wish)
    except RecursionError:
        raise InvalidRequest("The wish's JSON is nested too deeply.", param="wish") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidRequest(
            f"The wish does not fit {method.name}: {clip(str(error), 200)}.", param="wish"
        ) from None

"""Answers that a face asked to keep: the node reads them, whether or not the face stays.

Each is a task of the node's, which puts what comes into the history about every second and at the
end. What is wrong with the history costs the keeping, never the answer.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec
import trio

from aiplat.control.history import ConversationName, HistoryCall
from aiplat.control.messages import Done, Keep
from aiplat.domain.answers import Failed, Finished, Inference, Submission, check_submission
from aiplat.domain.chat import Generate
from aiplat.domain.conversations import AnswerFacts, Turn
from aiplat.domain.errors import (
    AiplatError,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    ShuttingDown,
    UnsupportedParameter,
    clip,
)
from aiplat.domain.usage import Usage
from aiplat.history.history import History, read_call
from aiplat.history.settings import HistorySettings
from aiplat.history.store import CutPath
from aiplat.roles.answering import answering
from aiplat.roles.kept import Following, KeptAnswer
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.history")

WRITE_SECONDS = 2.0
"""For the last of an answer, before those who follow hear of its end."""
TRIES = 60
"""So often is it tried again, each `history.flush_seconds`, when the file did not take it."""
_ENDS = "The node ends."
SLACK_SECONDS = 0.5
"""Past the deadline: who serves the answer ends it first, and names the stage that was slow."""


class Conversations:
    """The kept answers of a node, and its history.

    Arguments:
        history: where they go.
        inference: gives who answers, or a certain gateway by its multiaddr.
        settings: bounds.
        metrics: where refusals for a bound are counted.
        now: a clock that never steps, in seconds.
        wall: seconds since 1970 (UTC).
    """

    def __init__(
        self,
        history: History,
        inference: Callable[[str], Awaitable[Inference]],
        settings: HistorySettings,
        metrics: Metrics,
        now: Callable[[], float] = trio.current_time,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._history = history
        self._inference = inference
        self._settings = settings
        self._hits = metrics.bound_hits
        self._now = now
        self._wall = wall
        self._nursery: trio.Nursery | None = None
        self._running: dict[str, KeptAnswer] = {}
        self._ended: OrderedDict[str, KeptAnswer] = OrderedDict()
        self._late = 0
        self._is_ill = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Give answers until cancelled; what has come of them by then is kept."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._history.keep_tidy)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            await self._history.close()

    # -- asked by faces ------------------------------------------------------------------------

    async def history(self, call: HistoryCall) -> msgspec.Struct:
        """Ask something of the conversations.

        Raises:
            AiplatError: it cannot be done, or the history cannot be used.
        """
        method, wish = read_call(call)
        if isinstance(wish, ConversationName) and method == "delete":
            wish = ConversationName(id=await self._history.whole_id(wish))
            for answer in self._running.values():
                if answer.conversation == wish.id:
                    answer.stop()
        return await self._history.answer(method, wish)

    async def keep(self, submission: Submission, keep: Keep, peer: str = "") -> Following | str:
        """Begin an answer that is kept, and follow it; or say why it cannot be kept, in words.

        Arguments:
            submission: what is asked.
            keep: where it goes.
            peer: the multiaddr of the gateway to ask, and no other.

        Raises:
            InvalidRequest: what is asked, or where it shall go, cannot be.
            Overloaded: as many are under way as may be.
        """
        check_submission(submission)
        _refuse_logprobs(submission)
        if len(self._running) >= self._settings.max_running:
            self._hits.labels("history_running").inc()
            raise Overloaded(
                f"This node already gives {len(self._running)} answers that are kept, as many as "
                "it may (history.max_running).",
                retry_after=1.0,
            )
        answer = KeptAnswer(
            submission, keep.conversation.id, keep.answer, self._now,
            self._settings.max_answer_chars,
        )  # fmt: skip
        self._running[submission.id] = answer
        try:
            why, note = await self._begin(answer, keep)
        except BaseException:
            del self._running[submission.id]
            raise
        if why or self._nursery is None:
            del self._running[submission.id]
            return why or _ENDS
        self._nursery.start_soon(self._live, answer, peer)
        return Following(answer, late=False, note=note)

    async def _begin(self, answer: KeptAnswer, keep: Keep) -> tuple[str, str]:
        """Have it stand in the history; gives why it cannot, and what befell the file."""
        if self._nursery is None:
            return _ENDS, ""
        request, model = answer.submission.id, answer.submission.model
        turn = Turn(
            id=keep.answer, parent=keep.parent, role="assistant", at=int(self._wall()),
            facts=AnswerFacts(request=request, model=model),
        )  # fmt: skip
        try:
            return "", await self._history.begin(keep.conversation, turn)
        except CutPath as cut:  # the question is good, though its conversation is gone
            return str(cut), ""
        except InvalidRequest:
            raise
        except AiplatError as fault:
            log.warning("an answer is not kept: %s", fault)
            return str(fault), ""

    def follow(self, request: str) -> Following:
        """Follow an answer that is under way, or ended a moment ago.

        Raises:
            InvalidRequest: there is none of that name.
            Overloaded: as many follow it as may.
        """
        answer = self._find(request)
        if answer.followers >= self._settings.max_followers:
            self._hits.labels("history_followers").inc()
            raise Overloaded(
                f"{answer.followers} faces follow this answer already, as many as may "
                "(history.max_followers).",
                retry_after=1.0,
            )
        return Following(answer, late=True)

    def stop_answer(self, request: str) -> Done:
        """End an answer that is under way; what has come of it is kept.

        Raises:
            InvalidRequest: there is none of that name.
        """
        answer = self._find(request)
        if answer.end is not None:
            return Done(message="The answer had ended already.")
        answer.stop()
        return Done(message="The answer is stopped; what had come of it is kept.")

    def _find(self, request: str) -> KeptAnswer:
        answer = self._running.get(request) or self._ended.get(request)
        if answer is None:
            raise InvalidRequest(
                f"No answer {clip(request)!r} is under way here: it ended, or was not kept. What "
                "came of a kept one stands in its conversation.",
                param="request",
            )
        return answer

    # -- one answer ----------------------------------------------------------------------------

    async def _live(self, answer: KeptAnswer, peer: str) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._flush, answer)
                await self._read(answer, peer)
                nursery.cancel_scope.cancel()
        finally:
            answer.finish(_cut_off())  # unless it ended by itself
            await self._close(answer)

    async def _read(self, answer: KeptAnswer, peer: str) -> None:
        """Take what comes until it ends, in whichever way: that is not raised but kept."""
        seconds = answer.submission.deadline_ms / 1000
        try:
            with trio.move_on_after(seconds + SLACK_SECONDS):
                await self._take_all(answer, peer)
                return
            raise DeadlineExceeded(
                f"The answer did not end within its deadline of {seconds:g} seconds."
            )
        except AiplatError as error:
            answer.finish(Failed.of(error))
        except Exception:
            log.exception("a kept answer failed")
            answer.finish(Failed("internal", "The node failed; its log says why."))

    async def _take_all(self, answer: KeptAnswer, peer: str) -> None:
        inference = await self._who_answers(answer, peer)
        if inference is None or answer.stopped:
            answer.finish(Finished("cancelled", Usage(0, 0)))
            return
        async with answering(inference, answer.submission) as asked:
            answer.cancel = asked.cancel
            while not asked.ended:
                batch = await asked.next()
                has_room = answer.take(batch)
                if ends := [one for one in batch if isinstance(one, Finished | Failed)]:
                    answer.finish(ends[0])
                elif not has_room:
                    raise self._too_long()

    async def _who_answers(self, answer: KeptAnswer, peer: str) -> Inference | None:
        """Find out, which may take a while; None when a person stopped it meanwhile."""
        found: Inference | None = None
        with trio.CancelScope() as scope:
            answer.cancel = scope.cancel
            if not answer.stopped:
                found = await self._inference(peer)
        return found

    def _too_long(self) -> Overloaded:
        self._hits.labels("history_answer_chars").inc()
        return Overloaded(
            f"The answer was ended at {self._settings.max_answer_chars} characters, the most that "
            "are kept of one (history.max_answer_chars).",
            recoverable=False,
        )

    # -- to the history --------------------------------------------------------------------------

    async def _flush(self, answer: KeptAnswer) -> None:
        """Put what has come into the history again and again."""
        written = (0, False)
        while True:
            await trio.sleep(self._settings.flush_seconds)
            state = (answer.chars, answer.started is not None)
            if state != written and await self._write(answer):
                written = state

    async def _close(self, answer: KeptAnswer) -> None:
        """Put all of it into the history, tell those who follow, and keep it for a while."""
        is_written = await self._write_at_last(answer)
        answer.publish()
        self._running.pop(answer.submission.id, None)
        self._ended[answer.submission.id] = answer
        while len(self._ended) > self._settings.kept_ended:
            self._ended.popitem(last=False)
        if not is_written:
            await self._write_later(answer)

    async def _write_later(self, answer: KeptAnswer) -> None:
        """Try again for a while; it counts no more among those under way, which may go on."""
        if self._late >= self._settings.max_running:
            self._hits.labels("history_late").inc()
            log.warning("the last of an answer is lost: too many wait for the file already")
            return
        self._late += 1
        is_written = False
        try:
            for _ in range(TRIES):
                await trio.sleep(self._settings.flush_seconds)
                if is_written := await self._write(answer):
                    return
        finally:
            self._late -= 1
            if not is_written:  # as when the node ends meanwhile
                await self._write_at_last(answer)

    async def _write_at_last(self, answer: KeptAnswer) -> bool:
        with trio.move_on_after(WRITE_SECONDS, shield=True):
            return await self._write(answer)
        return False

    async def _write(self, answer: KeptAnswer) -> bool:
        """Put it into the history as it is now; whether that needs no other try."""
        try:
            await self._history.write(answer.conversation, answer.turn, answer.text, answer.facts())
        except AiplatError as fault:
            if not self._is_ill:
                log.warning("what comes of answers cannot be kept now: %s", fault)
            self._is_ill = True
            return False
        self._is_ill = False
        return True


def _cut_off() -> Failed:
    return Failed.of(ShuttingDown("The node ended before the answer was whole.", retry_after=5))


def _refuse_logprobs(submission: Submission) -> None:
    work = submission.work
    if isinstance(work, Generate) and work.sampling.logprobs is not None:
        raise UnsupportedParameter(
            "logprobs are not kept: leave them out, or ask without keep.", param="logprobs"
        )

"""`echo`: says the prompt's tokens over and over, or counts them in vectors. For tests and benches.

It runs in the node's process, in one task whatever the number of requests. Each request goes
its own pace; the task looks after those that can go on, and sleeps while none can.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from pathlib import Path

import trio

from aiplat.domain.answers import AnswerSink, Asking, Queued, Submission
from aiplat.domain.chat import Embed
from aiplat.domain.errors import InvalidRequest, Overloaded, ShuttingDown
from aiplat.domain.models import Manifest, ModelOffer
from aiplat.engine import pieces
from aiplat.engine.admission import answer_limit, plain_generation_of
from aiplat.engine.backends.echo_asking import NEVER, EchoAsking
from aiplat.engine.backends.echo_row import EchoRow
from aiplat.engine.backends.echo_vectors import EchoVectors
from aiplat.engine.catalogue import ECHO
from aiplat.engine.embedding import check_size
from aiplat.engine.settings import EngineSettings
from aiplat.telemetry.metrics import Metrics


class EchoEngine:
    """An `Engine` with no model.

    It is as sure of each token as can be (logprob 0), so that no parameter of the sampling changes
    what it says.

    Arguments:
        settings: its slots, queue, context and how much one event may hold.
        rate: tokens a second of each answer; 0 makes no pause.
        metrics: where its load is shown, if anywhere.
    """

    name = ECHO

    def __init__(
        self, settings: EngineSettings, rate: float = 0.0, metrics: Metrics | None = None
    ) -> None:
        self._settings = settings
        self._rate = rate
        self._metrics = metrics
        self._running: list[EchoAsking] = []
        self._waiting: deque[EchoAsking] = deque()
        self._wake = trio.Event()
        self._shown = (0, 0)
        self._manifest = manifest(settings.echo_context)

    def offer(self) -> ModelOffer:
        """What it offers now (`Engine`)."""
        return ModelOffer(
            name=self.name,
            state="ready",
            manifest=self._manifest,
            slots=self._settings.echo_slots,
            running=len(self._running),
            waiting=len(self._waiting),
            tokens_per_second=self._rate,
            can=("generate", "embed"),
        )

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Begin to answer (`Inference`).

        Raises:
            AiplatError: it asks for what echo cannot, does not fit, or all places are taken.
        """
        full = len(self._running) >= self._settings.echo_slots
        if full and len(self._waiting) >= self._settings.max_waiting:
            if self._metrics is not None:
                self._metrics.bound_hits.labels("engine_queue").inc()
            raise Overloaded(
                f"{self.name} has {len(self._running)} answers under way and "
                f"{len(self._waiting)} requests that wait.",
                retry_after=1.0,
            )
        row = self._row(submission, sink)
        if full:
            self._waiting.append(row)
            row.tell(Queued(len(self._waiting) - 1, 0, "all slots of echo are taken"))
        else:
            self._running.append(row)
        self._wake_up()
        return row

    def _row(self, submission: Submission, sink: AnswerSink) -> EchoAsking:
        now, context = trio.current_time(), self._settings.echo_context
        if isinstance(submission.work, Embed):
            return self._vectors(submission, submission.work, sink, now)
        work = plain_generation_of(submission, self.name)
        said = "\n".join(message.content for message in work.messages)
        texts = pieces.cut(said if work.prompt is None else work.prompt)
        if work.only_count:
            return EchoRow(submission, sink, texts, 0, False, now, self._wake_up)
        asked = work.sampling.max_tokens
        limit = answer_limit(len(texts), asked, context, max(1, len(texts)))
        over = asked is not None or limit < len(texts)
        return EchoRow(submission, sink, texts, limit, over, now, self._wake_up)

    def _vectors(
        self, submission: Submission, work: Embed, sink: AnswerSink, now: float
    ) -> EchoVectors:
        try:
            check_size(work, self._settings.embed_chars)
        except InvalidRequest:
            if self._metrics is not None:
                self._metrics.bound_hits.labels("embed_chars").inc()
            raise
        return EchoVectors(submission, sink, self._settings.echo_context, now, self._wake_up)

    async def run(
        self,
        on_change: Callable[[], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled (`Engine`)."""
        task_status.started()
        try:
            await self._pump(on_change)
        finally:
            error = ShuttingDown(f"The node ends, and {self.name} with it.")
            for row in (*self._running, *self._waiting):
                row.fail(error)

    async def _pump(self, on_change: Callable[[], None]) -> None:
        while True:
            self._show(on_change)
            due = self._round()
            if due <= trio.current_time():
                await trio.lowlevel.checkpoint()
                continue
            self._show(on_change)
            self._wake = trio.Event()
            with trio.move_on_at(due):
                await self._wake.wait()

    def _wake_up(self) -> None:
        self._wake.set()

    def _round(self) -> float:
        """Let each row go on once; give the time at which the next one can."""
        now = trio.current_time()
        due, left = NEVER, False
        for row in self._running:
            due = min(due, row.step(now, self._rate, self._settings.echo_burst, self._manifest))
            left = left or row.ended
        for row in self._waiting:
            due = min(due, row.idle(now))
            left = left or row.ended
        if left:
            self._running = [row for row in self._running if not row.ended]
            self._waiting = deque(row for row in self._waiting if not row.ended)
            while self._waiting and len(self._running) < self._settings.echo_slots:
                self._running.append(self._waiting.popleft())
                due = now
        return due

    def _show(self, on_change: Callable[[], None]) -> None:
        shown = (len(self._running), len(self._waiting))
        if shown == self._shown:
            return
        self._shown = shown
        if self._metrics is not None:
            self._metrics.engine_running.labels(self.name).set(shown[0])
            self._metrics.engine_waiting.labels(self.name).set(shown[1])
        on_change()


def manifest(context: int) -> Manifest:
    """What `echo` is: its weights and tokenizer are the code of its tokens."""
    code = hashlib.sha256(Path(pieces.__file__).read_bytes()).hexdigest()
    return Manifest(
        name=ECHO,
        weights=code,
        tokenizer=code,
        template=code,
        recipe=1,
        dtype="none",
        context=context,
        vocabulary=pieces.VOCABULARY,
        backend="echo",
    )

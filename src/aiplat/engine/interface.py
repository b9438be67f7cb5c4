"""What a processor knows of an engine, whichever runs behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import trio

from aiplat.domain.answers import AnswerSink, Asking, Submission
from aiplat.domain.models import ModelOffer
from aiplat.engine.settings import EngineSettings


class Engine(Protocol):
    """One model, loaded or loading. It is an `Inference` for submissions to a processor.

    `submit` raises `ContextLengthExceeded`, `UnsupportedParameter`, `Overloaded`,
    `EngineFailed` or `InvalidRequest` for what can be told at once; else those come as `Failed`.
    """

    name: str

    def offer(self) -> ModelOffer:
        """What it offers now: state, slots, load and speed."""

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Begin to answer (`Inference`)."""

    async def run(
        self,
        on_change: Callable[[], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Load and serve until cancelled; `on_change` is called when `offer` differs.

        It reports as started at once: loading goes on behind it, and `offer().state` tells.
        A model that cannot be loaded does not end it: the state is ``failed`` and `note` says why.
        """


@runtime_checkable
class Reconfigurable(Protocol):
    """An engine that can take other settings while it lives."""

    def reconfigure(self, settings: EngineSettings) -> None:
        """Work with these from now on; what needs a new process waits until it is idle."""

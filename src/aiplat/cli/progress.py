"""Shows how far a model's download and conversion are: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from aiplat.cli import output
from aiplat.cli.face import Face
from aiplat.runtime.reset import readable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from aiplat.runtime.options import ServeOptions

WORDS = {
    "wait": "Waiting for another pull of this model",
    "download": "Downloading",
    "verify": "Verifying",
    "unpack": "Unpacking",
    "convert": "Converting",
}
"""What a stage of `aiplat.engine.pull` is called before a person."""

_STEP = 10
"""Percent between two lines."""


class Shows(Protocol):
    """What shows progress; a context."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` bytes of `total` of `stage` are done."""


def amount(stage: str, done: int, total: int) -> str:
    """Write how much of a stage is done, in its own unit."""
    if total <= 0:
        return ""
    if stage == "convert":
        return f"{done} of {total} tensors" if total > 1 else ""
    return f"{readable(done)} of {readable(total)}"


class Lines:
    """A line for each stage, and for each ten percent of it."""

    def __init__(self, say: Callable[[str], None] = output.say) -> None:
        self._say = say
        self._stage = ""
        self._next = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Say it when it is news."""
        if stage != self._stage:
            self._stage, self._next = stage, 0
        percent = min(100, 100 * done // total) if total > 0 else 0
        if percent >= self._next:
            text = amount(stage, done, total)
            self._say(f"{WORDS.get(stage, stage)}: {percent}%{f', {text}' if text else ''}")
            self._next = percent - percent % _STEP + _STEP


class Bars:
    """A bar for each stage, on stderr."""

    def __init__(self) -> None:
        self._tasks: dict[str, TaskID] = {}
        self._bars: Progress | None = None

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Move the stage's bar."""
        assert self._bars is not None
        words = WORDS.get(stage, stage)
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(words, total=total or None, amount="")
        self._bars.update(
            self._tasks[stage], completed=done, total=total or None,
            amount=amount(stage, done, total),
        )  # fmt: skip


class Say(Protocol):
    """Tells a person a line, with the name of its sign."""

    def __call__(self, text: str, sign: str = "") -> None:
        """Tell it."""


def shows(say: Say = output.say) -> Shows:
    """Choose by what stderr is, where it is told there."""
    return Bars() if say is output.say and sys.stderr.isatty() else Lines(say)


def pull(face: Face, name: str, say: Say = output.say) -> Path | None:
    """Get one model ready, showing how far it is."""
    from aiplat.engine.settings import EngineSettings
    from aiplat.runtime.pulling import get

    seconds = face.loaded[EngineSettings].pull_lock_seconds
    with shows(say) as progress:
        return get(name, face.places.cache, progress, seconds)


def pull_missing(face: Face, options: ServeOptions, say: Say = output.say) -> None:
    """Get ready what a node with `options` runs and this machine lacks."""
    from aiplat.runtime.pulling import missing, models_of

    for name in missing(models_of(options), face.places.cache):
        say(f"Getting the model {name} ready, once.", "model")
        pull(face, name, say)

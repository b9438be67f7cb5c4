"""A peer that lives and gets nothing done: it never ends a frame, a cancelled request, or a call.

Executes nothing; the clock is whatever the caller passes, in seconds.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from aiplat.node.settings import NodeSettings


class Bound(NamedTuple):
    """A bound that a peer is over: its setting, and a clause for a person."""

    setting: str
    clause: str


class Frames(Protocol):
    """How far a peer is with its frames (`ChannelMachine`)."""

    @property
    def frames(self) -> int:
        """How many became whole until now."""

    @property
    def is_in_frame(self) -> bool:
        """Whether another has begun."""


class StuckWatch:
    """Looks at one channel with each heartbeat.

    Arguments:
        settings: the bounds.
        frames: what came of frames.
        cancelled: the requests of this node whose cancel waits for an end.
        calls: its calls that wait for a reply.
    """

    def __init__(
        self, settings: NodeSettings, frames: Frames, cancelled: Owing, calls: Owing
    ) -> None:
        self._settings = settings
        self._frames = frames
        self._frame_watch = FrameWatch(settings.frame_seconds)
        self._cancelled = cancelled
        self._calls = calls

    def look(self, now: float) -> Bound | None:
        """The bound that the peer is over, if it is over one."""
        frame, answer = self._settings.frame_seconds, self._settings.answer_seconds
        if self._frame_watch.look(self._frames.frames, now, in_frame=self._frames.is_in_frame):
            return _over("frame_seconds", f"began a frame that was not whole after {frame:g} s")
        if self._cancelled.look(now, answer):
            return _over("answer_seconds", f"did not end a cancelled request within {answer:g} s")
        if self._calls.look(now, answer):
            return _over("answer_seconds", f"did not answer a call within {answer:g} s")
        return None


def _over(setting: str, what: str) -> Bound:
    return Bound(setting, f"it {what}, the bound (node.{setting})")


class FrameWatch:
    """How long a peer has been in the middle of one frame.

    Bytes alone do not say that a peer works: one that never ends a frame sends enough to be no
    silent one, and all that it says afterwards is taken for the rest of that frame.

    Arguments:
        seconds: after which it counts as stuck.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._frames = 0
        self._since: float | None = None

    def look(self, frames: int, now: float, *, in_frame: bool) -> bool:
        """Note how far it is; tell whether it is stuck.

        Arguments:
            frames: how many became whole until now.
            now: the time.
            in_frame: whether another has begun.
        """
        if not in_frame or frames != self._frames:
            self._since = None
        self._frames = frames
        if in_frame and self._since is None:
            self._since = now
        return self._since is not None and now - self._since >= self._seconds


class Owing:
    """Numbers of a channel, each since when; the oldest first.

    A peer that lives and never answers keeps their places on the channel for ever.
    """

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        self._was_late = False

    def owes(self, number: int, now: float) -> None:
        """An answer is due from now on."""
        self._since[number] = now

    def settled(self, number: int) -> None:
        """It came."""
        self._since.pop(number, None)

    def look(self, now: float, seconds: float) -> bool:
        """Tell whether the oldest is overdue by more than `seconds`, at this look and the last.

        Once is not enough: after this node's own standstill the answer may lie unread.
        """
        oldest = next(iter(self._since.values()), now)
        was_late, self._was_late = self._was_late, now - oldest > seconds
        return was_late and self._was_late

"""The time that the limits go by: whole milliseconds that never go back."""

from __future__ import annotations

from collections.abc import Callable


class Clock:
    """Reads a monotonic clock; one that goes back stands still until it has caught up.

    Arguments:
        now: seconds.
    """

    __slots__ = ("_latest", "_now")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._latest = int(now() * 1000)

    def read(self) -> int:
        """Give the time in milliseconds, rounded down."""
        now = int(self._now() * 1000)
        if now > self._latest:
            self._latest = now
        return self._latest

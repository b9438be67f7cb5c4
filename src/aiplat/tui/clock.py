"""The two clocks of the screens; tests hand in their own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> float:
        """Seconds since 1970 (UTC)."""

    def monotonic(self) -> float:
        """Seconds of a clock that never steps back."""

    def local(self, at: float) -> datetime:
        """That time on the wall."""


@dataclass(frozen=True)
class SystemClock:
    """The machine's own.

    Arguments:
        zone: of the wall; None for the machine's.
    """

    zone: tzinfo | None = None

    def now(self) -> float:
        """Seconds since 1970 (UTC)."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds of a clock that never steps back."""
        return time.monotonic()

    def local(self, at: float) -> datetime:
        """That time on the wall."""
        return datetime.fromtimestamp(at).astimezone(self.zone)

"""The times that can be looked at, what is asked of the node for each, and how often. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.control.series import Column, SeriesAsk
from aiplat.domain.ids import Role


@dataclass(frozen=True)
class Range:
    """A time up to now.

    Arguments:
        name: as it stands in its button.
        words: as it stands in a sentence: "in the last …".
        seconds: its length.
        step: seconds of a point.
        every: seconds between two looks while it is shown.
    """

    name: str
    words: str
    seconds: int
    step: int
    every: float

    @property
    def is_by_seconds(self) -> bool:
        """Whether the node tells it by the second, with tokens as they come."""
        return self.step < 60

    def ask(self, now: float, by: Column, role: Role) -> SeriesAsk:
        """What the graphs need.

        Arguments:
            now: seconds since 1970.
        """
        since = int(now) - self.seconds
        return SeriesAsk(since=since, step=self.step, by=by, role=role, machine=True)


RANGES: tuple[Range, ...] = (
    Range("1 m", "minute", 60, 1, 1.0),
    Range("15 m", "15 minutes", 900, 60, 2.0),
    Range("24 h", "24 hours", 86_400, 300, 15.0),
    Range("30 d", "30 days", 30 * 86_400, 7200, 60.0),
)

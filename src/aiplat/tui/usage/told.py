"""What the node said of its series, beside what it was asked: the one is drawn by the other. Pure.

What is chosen may be another time, or by something else, before that is told.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.control.series import Column, SeriesReply
from aiplat.tui.usage.figures import Figure, Name, figures_of
from aiplat.tui.usage.ranges import Range


@dataclass(frozen=True)
class Told:
    """An answer.

    Arguments:
        chosen, by: of which time it is, and what has lines of its own.
        at: when it was asked for, in seconds since 1970.
        reply: what the node said.
    """

    chosen: Range
    by: Column
    at: float
    reply: SeriesReply

    def figures(self, name: Name, begun: float) -> tuple[Figure, ...]:
        """The graphs of it.

        Arguments:
            name: what a person calls what has lines of its own.
            begun: since when the node runs, in seconds since 1970.
        """
        return figures_of(
            self.reply, since=int(self.at) - self.chosen.seconds, now=self.at, by=self.by,
            name=name, begun=begun, words=self.chosen.words,
        )  # fmt: skip

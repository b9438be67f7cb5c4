"""A peer's figures of the last hour and day, as a small line of bars. Knows no widget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from aiplat.control.series import SeriesAsk, SeriesReply, SeriesRow
from aiplat.domain.ids import Role
from aiplat.tui.text import amount, span

HOUR: Final = 3600
DAY: Final = 24 * HOUR
_BARS = {"blocks": " ▁▂▃▄▅▆▇█", "ascii": " .:-=+*#%"}


@dataclass(frozen=True)
class Figures:
    """What came to its end at one peer within a time.

    Arguments:
        label: which time.
        tokens: of answers, in each part of the time, the oldest first.
        first: seconds to the first token, on average; None where there is none.
    """

    label: str
    tokens: tuple[int, ...]
    requests: int = 0
    errors: int = 0
    first: float | None = None

    @property
    def words(self) -> str:
        """The sums, in words."""
        if not self.requests:
            return "nothing"
        parts = [f"{amount(self.requests)} request{'' if self.requests == 1 else 's'}"]
        parts += [f"{amount(self.errors)} failed"] if self.errors else []
        parts.append(f"{amount(sum(self.tokens))} tokens")
        parts += [f"first token after {span(self.first)}"] if self.first is not None else []
        return " · ".join(parts)


def asks(now: float, roles: Sequence[Role]) -> tuple[SeriesAsk, SeriesAsk]:
    """What to ask for: the last hour by two minutes, and the last day by the hour.

    Arguments:
        now: seconds since 1970.
        roles: of this node. What one of them saw is asked for: two would count a request twice. A
            gateway sees what others asked, too.
    """
    role: Role = "gateway" if "gateway" in roles else "client"
    return (
        SeriesAsk(since=int(now) // 120 * 120 - HOUR + 120, step=120, by="peer", role=role),
        SeriesAsk(since=int(now) // HOUR * HOUR - DAY + HOUR, step=HOUR, by="peer", role=role),
    )


def figures_of(reply: SeriesReply, peer: str, label: str, until: float) -> Figures:
    """One peer's figures out of the answer.

    Arguments:
        peer: its id.
        until: when the time ends, in seconds since 1970.
    """
    rows = [row for row in reply.rows if row.name == peer]
    step = max(1, reply.step)
    count = min(64, max(1, -(-int(until + 1 - reply.since) // step)))
    tokens = [0] * count
    for row in rows:
        place = (row.at - reply.since) // step
        if 0 <= place < count:
            tokens[place] += row.completion_tokens
    return Figures(
        label, tuple(tokens), sum(row.requests for row in rows), sum(row.errors for row in rows),
        _mean(rows),
    )  # fmt: skip


def _mean(rows: Sequence[SeriesRow]) -> float | None:
    """The time on average: of all parts, each by its weight, and so the same in whatever parts."""
    known = [(row.first.mean, row.requests - row.errors) for row in rows if row.first is not None]
    weight = sum(max(1, count) for _, count in known)
    return sum(value * max(1, count) for value, count in known) / weight if known else None


def bars(values: Sequence[int], kind: Literal["blocks", "ascii"] = "blocks") -> str:
    """A line of bars, a cell each; anything over nothing is seen."""
    signs, most = _BARS[kind], max(values, default=0)
    if most <= 0:
        return ("·" if kind == "blocks" else ".") * len(values)
    last = len(signs) - 1
    return "".join(signs[max(1, round(v / most * last)) if v > 0 else 0] for v in values)

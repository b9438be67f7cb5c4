"""Requests that wait for a slot: one row for each fairness tag, in order of arrival. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping

from aiplat.engine.rows import Row


class Waiting:
    """The queue of one model.

    `changed` is set when somebody comes or goes; who tells those that wait their place clears it.
    """

    def __init__(self) -> None:
        self._rows: dict[str, deque[Row]] = {}
        self._count = 0
        self.changed = False

    def __len__(self) -> int:
        """How many wait."""
        return self._count

    def heads(self) -> list[Row]:
        """Who is next of each tag."""
        return [rows[0] for rows in self._rows.values()]

    def add(self, row: Row) -> None:
        """Take a row as the last of its tag."""
        self._rows.setdefault(row.tag, deque()).append(row)
        self._count += 1
        self.changed = True

    def remove(self, row: Row) -> None:
        """Let a row go, wherever it stands."""
        rows = self._rows[row.tag]
        rows.remove(row)
        if not rows:
            del self._rows[row.tag]
        self._count -= 1
        self.changed = True

    def to_displace(self, tag: str) -> Row | None:
        """Who makes room in a full queue for a newcomer of `tag`; None when nobody should.

        The latest of the tag that has most, if it has at least two more than the newcomer's: so
        the shares in a full queue become even, and nobody fills it alone.
        """
        if not may_displace({tag: len(rows) for tag, rows in self._rows.items()}, tag):
            return None
        return max(self._rows.values(), key=len)[-1]

    def order(self, had: Callable[[str], float], cost: Callable[[Row], float]) -> Iterator[Row]:
        """All that wait, as they will come to turn if nobody else comes.

        Arguments:
            had: what a tag has had.
            cost: what a row will add to that.
        """
        places: list[tuple[float, float, int, Row]] = []
        for tag, rows in self._rows.items():
            counter = had(tag)
            for row in rows:
                places.append((counter, row.arrived, row.number, row))
                counter += cost(row)
        places.sort(key=lambda place: place[:3])
        return (place[3] for place in places)


def may_displace(waiting: Mapping[str, int], tag: str) -> bool:
    """Whether a newcomer of `tag` gets a place in a full queue, by how many wait of each tag."""
    return max(waiting.values(), default=0) >= waiting.get(tag, 0) + 2

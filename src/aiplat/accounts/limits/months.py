"""What each subject took of a calendar month. Knows no limit; which month it is, it is told."""

from __future__ import annotations

MOST_MONTHS = 4
"""So many are kept. A wall clock that is set back and forth is seldom wrong in more ways."""


class Use:
    """The tokens of one subject in one month.

    Attributes:
        used: of requests that ended.
        held: reserved by requests under way.
    """

    __slots__ = ("held", "used")

    def __init__(self) -> None:
        self.used = 0
        self.held = 0


Table = dict[str, Use]
NOTHING = Use()
"""Before there is a table."""


def use_of(table: Table, subject: str) -> Use:
    """The counter of a subject, which is made if there is none."""
    use = table.get(subject)
    if use is None:
        use = table[subject] = Use()
    return use


class Months:
    """A table of subjects for each month, the one that was asked for last as the last.

    Of too many months goes the one that was not asked for the longest. So a clock that jumps away
    and back finds the month again that it came from.
    """

    __slots__ = ("_month", "_table", "_tables")

    def __init__(self) -> None:
        self._tables: dict[int, Table] = {}
        self._month: int | None = None
        self._table: Table = {}

    def now(self, month: int) -> Table:
        """The table of the month that it is.

        A month older than all that are known is none that anything was counted in: the clock was
        set back, and the oldest known month holds what counts.
        """
        if month != self._month:
            known = month in self._tables or not self._tables or month > min(self._tables)
            self._table = self._of(month if known else min(self._tables))
            self._month = month
        return self._table

    def add(self, subject: str, month: int, tokens: int) -> None:
        """Count what was used in a month, which may be older than all that are known."""
        now = self._month
        table = self._of(month)
        if now is not None:
            self._month = None
            self.now(now)  # is the last still
        use_of(table, subject).used += tokens

    def find(self, subject: str, month: int) -> Use | None:
        """What a subject took of the month that it is; makes nothing."""
        tables = self._tables
        if month not in tables and tables:
            month = max(month, min(tables))
        return tables[month].get(subject) if month in tables else None

    def tidy(self, subject: str) -> None:
        """Drop counters of a subject with nothing under way that count nothing."""
        for table in self._tables.values():
            use = table.get(subject)
            if use is not None and not use.used and not use.held:
                del table[subject]

    def forget(self, subject: str) -> None:
        """Drop a subject."""
        for table in self._tables.values():
            table.pop(subject, None)

    def _of(self, month: int) -> Table:
        table = self._tables.pop(month, None)
        if table is None:
            table = {}
            if len(self._tables) >= MOST_MONTHS:
                del self._tables[next(iter(self._tables))]
        self._tables[month] = table
        return table

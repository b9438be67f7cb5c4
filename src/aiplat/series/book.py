"""The newest minutes, in memory, until they are on the disk; and the newest seconds. Bounded.

Only what was not written yet is in it: a minute's rows are added to those on the disk. So a
minute may be written as often as one likes, also by two lives of a node, or after its clock
was set back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiplat.series.figures import (
    Figures,
    Key,
    MachineKey,
    add,
    add_machine,
    as_other,
    count,
    count_tokens,
    nothing,
    of_reading,
)
from aiplat.series.seen import Came, Reading, Seen
from aiplat.series.wanted import MINUTE


@dataclass
class Page:
    """What one minute, or second, has that was not written; `known` are all rows it ever had."""

    at: int
    rows: dict[Key, Figures] = field(default_factory=dict)
    machine: dict[MachineKey, Figures] = field(default_factory=dict)
    known: set[Key] = field(default_factory=set)

    @property
    def is_empty(self) -> bool:
        """Whether all of it is on the disk."""
        return not (self.rows or self.machine)


class Book:
    """The minutes.

    Arguments:
        rows: the most distinct rows of a minute; what is beyond is summed.
        minutes: the most minutes; the oldest gives way.
        own: this node's peer id.
        on_bound: told the name of a bound each time that one is hit.
        span: seconds of a page; with another than a minute, `minutes` are so many pages.
    """

    def __init__(
        self,
        rows: int,
        minutes: int,
        own: str,
        on_bound: Callable[[str], None],
        span: int = MINUTE,
    ) -> None:
        self._span = span
        self._most = rows
        self._minutes = minutes
        self._own = own
        self._on_bound = on_bound
        self._pages: dict[int, Page] = {}
        self._open = Page(-1)

    def saw(self, seen: Seen, when: float) -> None:
        """Add a request.

        Arguments:
            when: seconds since 1970.
        """
        count(self._row_of(seen, when), seen)

    def came(self, came: Came, when: float) -> None:
        """Add tokens of an answer that is under way."""
        count_tokens(self._row_of(came, when), came.tokens)

    def _row_of(self, seen: Seen | Came, when: float) -> Figures:
        page = self._page(when)
        key = (seen.role, seen.model, seen.key, seen.peer)
        row = page.rows.get(key)
        return self._row(page, key) if row is None else row

    def machine(self, reading: Reading, when: float) -> None:
        """Add a look at the machine."""
        rows = self._page(when).machine
        key = (reading.part, reading.name)
        if key in rows:
            add_machine(rows[key], of_reading(reading))
        elif len(rows) < self._most:
            rows[key] = of_reading(reading)
        else:
            self._on_bound("series_rows")

    def _page(self, when: float) -> Page:
        at = int(when) // self._span * self._span
        if at != self._open.at:
            self._open = self._pages.setdefault(at, Page(at))
            self._keep_to_bound()
        return self._open

    def _keep_to_bound(self) -> None:
        """Let go of the oldest: what came first, whatever the clock said then."""
        while len(self._pages) > self._minutes:
            oldest = next(at for at in self._pages if at != self._open.at)
            if not self._pages.pop(oldest).is_empty:
                self._on_bound("series_minutes")

    def _row(self, page: Page, key: Key) -> Figures:
        if key not in page.known:
            if len(page.known) < self._most:
                page.known.add(key)
            else:
                self._on_bound("series_rows")
                key = as_other(key, self._own)
        return page.rows.setdefault(key, nothing())

    # -- to the disk -----------------------------------------------------------------------------

    def take(self) -> list[Page]:
        """Give what is to be written, and hold it no more."""
        taken = [Page(p.at, p.rows, p.machine) for p in self._pages.values() if not p.is_empty]
        for page in self._pages.values():
            page.rows, page.machine = {}, {}
        self._pages = {at: page for at, page in self._pages.items() if page is self._open}
        return taken

    def put_back(self, taken: Iterable[Page]) -> None:
        """Hold again what could not be written, as far as there is room."""
        pages = {old.at: old for old in taken}
        for old in pages.values():
            old.known.update(list(old.rows)[: self._most])
        for at, page in self._pages.items():
            if at in pages:
                _join(page, pages[at])
            pages[at] = page
        self._pages = pages
        self._keep_to_bound()

    def pages(self) -> list[Page]:
        """What is not on the disk, for those who read."""
        return [page for page in self._pages.values() if not page.is_empty]


def _join(page: Page, old: Page) -> None:
    for key, figures in old.rows.items():
        add(page.rows.setdefault(key, nothing()), figures)
    for name, looks in old.machine.items():
        if name in page.machine:
            add_machine(page.machine[name], looks)
        else:
            page.machine[name] = looks

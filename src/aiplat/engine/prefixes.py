"""Which place of the KV cache holds which tokens, and who may go on from them. Pure.

A place whose request has ended keeps what was read: its prefix. A later request that begins with
the same tokens goes on from there, in the same place or in another to which they are copied; also
while the first is at work still. Prefixes of one fairness tag are nobody else's, unless the
operator shares them: who measures times could learn what others asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiplat.engine.rows import Opening, Row


class Prefixes:
    """The places of one model's cache.

    Arguments:
        places: how many there are.
        least: with fewer equal tokens nothing is reused, and fewer are not kept.
        shared: whether tags may use each other's.

    Attributes:
        kept: tokens that free places hold.
        hits, lookups: tokens that were found, and that were looked for, since the start.
    """

    def __init__(self, places: int, least: int, *, shared: bool = False) -> None:
        self._least = least
        self._shared = shared
        self._rows: dict[int, Row] = {}
        self._free: dict[int, tuple[str, list[int]]] = {n: ("", []) for n in range(places)}
        # in order of use: the first was used least recently, what is empty stands before
        self._closed: list[int] = []
        self.kept = self.hits = self.lookups = 0

    def take_closed(self) -> list[int]:
        """Places that were emptied since the last call."""
        closed, self._closed = self._closed, []
        return closed

    def match(self, ids: Sequence[int], tag: str) -> tuple[int, int]:
        """The place that holds most of the first tokens of `ids`, and how many; (-1, 0) for none.

        At most all but the last: that one is read, to draw what follows.
        """
        best, place = self._least - 1, -1
        for at, (owner, held) in self._free.items():
            if held and self._may_use(owner, tag):
                common = _common(ids, held, len(held), best)
                if common >= best and common >= self._least:  # the latest of equal ones
                    best, place = common, at
        for at, row in self._rows.items():
            if self._may_use(row.tag, tag):
                common = _common(ids, row.ids, row.read, best)
                if common > best:
                    best, place = common, at
        return (place, best) if place >= 0 else (-1, 0)

    def coming(self, ids: Sequence[int], tag: str) -> Row | None:
        """A row that is reading what is not here yet, and is worth waiting for."""
        here = self.match(ids, tag)[1]
        best, found = here + self._least - 1, None
        for row in self._rows.values():
            if row.unread > 1 and self._may_use(row.tag, tag):
                common = _common(ids, row.ids, len(row.ids), best)
                if common > best and common > row.read:
                    best, found = common, row
        return found

    def seat(self, row: Row, room: int) -> Opening:
        """Give a row a place; what is there of its first tokens already counts as read.

        Arguments:
            room: tokens that may be in the cache beside those promised to all other rows, seated
                or not; the row's own fit in there. What free places keep gives way, least
                recently used first. So the first row of a step makes room for all of it, and
                what a later one copies is never emptied before.
        """
        source, kept = self.match(row.ids, row.tag)
        place = self._choose(source, kept)
        if not self._make_room(row.need, room, place, source):
            place = source  # its tokens stay where they are: nothing is there twice
            self._make_room(row.need, room, place, source)
        if place != source and source in self._free:
            self._free[source] = self._free.pop(source)  # the latest now
        self.kept -= len(self._free.pop(place)[1])
        self._rows[place] = row
        row.place, row.read, row.cached = place, kept, kept
        self.lookups += len(row.ids)
        self.hits += kept
        return Opening(place, row.need, kept, source if kept else place)

    def release(self, row: Row, *, keep: bool = True) -> None:
        """Free a row's place; it keeps what was read, unless that is not to be trusted."""
        place, row.place = row.place, -1
        del self._rows[place]
        if keep and row.read >= self._least:
            self._free[place] = (row.tag, row.ids[: row.read])
            self.kept += row.read
        else:
            self._put_first(place)
            self._closed.append(place)

    # -- inside --------------------------------------------------------------------------------

    def _may_use(self, owner: str, tag: str) -> bool:
        return self._shared or owner == tag

    def _choose(self, source: int, kept: int) -> int:
        """The place to seat a row in: that of its prefix, or else the least recently used."""
        oldest, *others = self._free
        if source not in self._free:
            return oldest
        lost = len(self._free[source][1]) - kept
        if source == oldest or lost <= max(self._least, kept // 8):
            return source
        return next(at for at in (oldest, *others) if at != source)

    def _make_room(self, need: int, room: int, place: int, source: int) -> bool:
        """Empty others until `need` fits at `place`; False, and nothing is done, if it cannot."""
        missing = need + self.kept - len(self._free[place][1]) - room
        others = [at for at in self._free if at not in (place, source)]
        if missing > sum(len(self._free[at][1]) for at in others):
            return False
        for at in others:
            if missing <= 0:
                break
            if held := len(self._free[at][1]):
                missing -= held
                self.kept -= held
                self._put_first(at)
                self._closed.append(at)
        return True

    def _put_first(self, place: int) -> None:
        """It holds nothing now: it is taken before what may still be of use."""
        self._free.pop(place, None)
        self._free = {place: ("", []), **self._free}


def _common(ids: Sequence[int], held: Sequence[int], read: int, best: int) -> int:
    """How many first tokens are equal, at most `read` and all but the last of `ids`.

    0 when there are fewer than `best`. Halves what is compared at once: slices are fast.
    """
    most = min(len(ids) - 1, read)
    if most < best or most <= 0 or ids[:best] != held[:best]:
        return 0
    low, high = best, most
    while low < high:
        middle = (low + high + 1) // 2
        if ids[low:middle] == held[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low

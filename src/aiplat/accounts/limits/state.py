"""What is known of one subject while it matters: its minute, what is under way, who waits."""

from __future__ import annotations

from aiplat.accounts.limits.durations import Durations
from aiplat.accounts.limits.months import NOTHING, Table, Use, use_of
from aiplat.accounts.limits.promises import Promises
from aiplat.accounts.limits.subject import Limit, Subject
from aiplat.accounts.limits.window import SPAN, Bucket, Window

_DURATIONS = 64
_FIRST_ROOM: dict[Limit, float] = {
    "requests_per_minute": 2.0, "tokens_per_minute": 6.0, "concurrent": 8.0,
}  # fmt: skip
"""By what a promise counts for more, until its limit has learned what it needs. Places and tokens
become free when nobody knows it before, and are taken by others more often. The figures are those
of simulated crowds, in whose first half hour 81 of 100 and more were let in when they were told;
with smaller ones there were crowds that had to learn for an hour."""
_LEARNS = 32
"""So many requests outweigh what was before them."""


class State:
    """One subject. Times are in milliseconds.

    Attributes:
        subject: as it was at its last request; its limits hold for those under way too.
        asked: when it asked last.
        running: reservations that are not settled, the oldest first, and when each was let in.
        window: its last minute; None while it has no limit of a minute.
        promises: whom it told to come back, by the limit; None when nobody was.
        durations: how long its requests took; None while nobody was refused for that.
        use: what it took of the month whose table is `table`: they lie far apart in memory, and
            looking it up anew costs as much as the decision.
        used_share: how much of what is reserved is used, by those that ended since it refused one.
    """

    __slots__ = (
        "asked", "durations", "promises", "running", "subject", "table", "use", "used_share",
        "window",
    )  # fmt: skip

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.asked = 0
        self.running: dict[object, int] = {}
        self.window: Window | None = None
        self.promises: dict[Limit, Promises] | None = None
        self.durations: Durations | None = None
        self.table: Table | None = None
        self.use = NOTHING
        self.used_share = 0.5

    def lets_in(self, now: int, tokens: int, use: Use) -> bool:
        """Whether one request more, that may come to so many tokens, fits all limits."""
        limits = self.subject.limits
        if limits.concurrent is not None and len(self.running) >= limits.concurrent:
            return False
        month = limits.tokens_per_month
        if month is not None and use.used + use.held + tokens > month:
            return False
        requests, minute = limits.requests_per_minute, limits.tokens_per_minute
        if requests is None and minute is None:
            return True
        window = self.window
        if window is None:
            window = self.window = Window()
        window.move(now)
        if requests is not None and window.requests >= requests:
            return False
        return minute is None or window.tokens + tokens <= minute

    def month(self, table: Table) -> Use:
        """What it took of that table's month."""
        if self.table is not table:
            self.table, self.use = table, use_of(table, self.subject.id)
        return self.use

    def gives(self, now: int, tokens: int, use: Use) -> bool:
        """Whether a request under way may have so many tokens more."""
        limits = self.subject.limits
        month, minute = limits.tokens_per_month, limits.tokens_per_minute
        if month is not None and use.used + use.held + tokens > month:
            return False
        return minute is None or self.minute(now).tokens + tokens <= minute

    def minute(self, now: int) -> Window:
        """Its last minute, as it stands now."""
        window = self.window
        if window is None:
            window = self.window = Window()
        window.move(now)
        return window

    def charge(self, now: int, requests: int, tokens: int) -> Bucket | None:
        """Count in its last minute, if it has a limit of that."""
        limits = self.subject.limits
        if limits.requests_per_minute is None and limits.tokens_per_minute is None:
            return None
        return (self.window or self.minute(now)).charge(now, requests, tokens)

    def release(self, now: int, bucket: Bucket | None, back: int, released: int) -> None:
        """Of a charge give `back` tokens back; `released` are held no more, given back or used."""
        if bucket is not None and self.window is not None:
            self.window.change(now, bucket, back, released)

    def waiting(self, limit: Limit) -> Promises:
        """Those that were told to come back to that limit."""
        if self.promises is None:
            self.promises = {}
        found = self.promises.get(limit)
        if found is None:
            found = self.promises[limit] = Promises(_FIRST_ROOM[limit])
        return found

    def times(self) -> Durations:
        """How long its requests take. Asked for once, it is kept."""
        if self.durations is None:
            self.durations = Durations(_DURATIONS)
        return self.durations

    def ended(self, reservation: object, now: int, reserved: int, used: int) -> int:
        """A request is over; gives how long it took."""
        took = now - self.running.pop(reservation)
        if self.durations is not None:
            self.durations.add(took)
        if self.promises is not None and reserved:
            self.used_share += (min(used / reserved, 1.0) - self.used_share) / _LEARNS
        return took

    def is_idle(self, now: int) -> bool:
        """Whether nothing of it matters any more. What it learned is kept while it is busy."""
        if self.running or now - self.asked <= SPAN:
            return False
        if self.window is not None and not self.window.is_empty(now):
            return False
        return self.promises is None or all(p.is_empty(now) for p in self.promises.values())

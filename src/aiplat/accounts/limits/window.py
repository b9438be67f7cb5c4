"""What was let in within the last minute, to the millisecond. Knows no limit and no clock."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

SPAN = 60_000
"""How long a charge counts, in milliseconds; at its end it counts still."""


class Bucket(Struct, eq=False):
    """What was charged within one millisecond.

    Attributes:
        ms: which one.
        requests: those that were let in.
        tokens: of those requests, used and held.
        held: of the tokens those that are only reserved yet.
        after: the next later bucket.
    """

    ms: int
    requests: int
    tokens: int
    held: int
    after: Bucket | None = None


class Window:
    """The buckets of the last minute with their sums. At most 60,001, whatever the rate.

    All times are in milliseconds and do not go back. Sums hold after `move` to the time that is.

    Attributes:
        requests, tokens, held: the sums of the buckets' own.
    """

    __slots__ = ("_first", "_last", "_last_request", "_last_token", "held", "requests", "tokens")

    def __init__(self) -> None:
        self.requests = self.tokens = self.held = 0
        self._first: Bucket | None = None
        self._last: Bucket | None = None
        self._last_request = self._last_token = 0

    def move(self, now: int) -> None:
        """Let go of what is older than a minute; each bucket costs once."""
        bucket, horizon = self._first, now - SPAN
        if bucket is None or bucket.ms >= horizon:
            return
        while bucket is not None and bucket.ms < horizon:
            self.requests -= bucket.requests
            self.tokens -= bucket.tokens
            self.held -= bucket.held
            after = bucket.after
            bucket.after = None  # who holds it still holds no chain of later ones
            bucket = after
        self._first = bucket
        if bucket is None:
            self._last = None

    def charge(self, now: int, requests: int, tokens: int) -> Bucket:
        """Count something now. The tokens are held; `change` says when they are that no more."""
        self.requests += requests
        self.tokens += tokens
        self.held += tokens
        if requests:
            self._last_request = now
        if tokens:
            self._last_token = now
        last = self._last
        if last is not None and last.ms == now:
            last.requests += requests
            last.tokens += tokens
            last.held += tokens
            return last
        bucket = Bucket(now, requests, tokens, tokens)
        if last is None:
            self._first = bucket
        else:
            last.after = bucket
        self._last = bucket
        return bucket

    def change(self, now: int, bucket: Bucket, back: int, released: int) -> None:
        """Count less of an earlier charge, or settle it. One that left the window stays as it is.

        Arguments:
            back: tokens that are given back.
            released: tokens that are held no more: given back, or used.
        """
        if bucket.ms < now - SPAN:
            return
        bucket.tokens -= back
        bucket.held -= released
        self.tokens -= back
        self.held -= released

    def is_empty(self, now: int) -> bool:
        """Whether there is nothing in it."""
        return self._last is None or self._last.ms < now - SPAN

    def requests_leaving(self) -> Iterator[tuple[int, int]]:
        """When how many of its requests will be in it no more; the next first."""
        bucket = self._first
        while bucket is not None:
            yield bucket.ms + SPAN + 1, bucket.requests
            bucket = bucket.after

    def tokens_leaving(self, unused: float) -> Iterator[tuple[int, float]]:
        """The same of its tokens, without the share of those held that is given back before."""
        bucket = self._first
        while bucket is not None:
            yield bucket.ms + SPAN + 1, bucket.tokens - bucket.held * unused
            bucket = bucket.after

    @property
    def requests_free_at(self) -> int:
        """When none of its requests is in it any more, if nothing is added."""
        return self._last_request + SPAN + 1

    @property
    def tokens_free_at(self) -> int:
        """The same of its tokens, at the latest: some may be given back before."""
        return self._last_token + SPAN + 1

"""Counting what each of many holds, and how often each came of late."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

MAX_SOURCES = 4096
"""Sources that are remembered. Over it, whoever was remembered longest is forgotten."""

IP6_PREFIX = 64
"""One customer has at least so many bits (RFC 6177): its addresses are one source."""


def source_of(ip: str) -> str:
    """What counts as one source of connections: an IPv4 address, an IPv6 network of 64 bits."""
    address = ipaddress.ip_address(ip.split("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IP6_PREFIX), strict=False))


class Places:
    """So many places for each holder, and no more.

    Arguments:
        bound: how many.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._taken: Counter[Hashable] = Counter()

    @contextmanager
    def place(self, holder: Hashable) -> Iterator[bool]:
        """Hold one while the block lasts; gives whether there was one."""
        if self._taken[holder] >= self._bound:
            yield False
            return
        self._taken[holder] += 1
        try:
            yield True
        finally:
            self._taken[holder] -= 1
            if not self._taken[holder]:
                del self._taken[holder]


class Recent:
    """How often each source came in a stretch of time; a stretch starts when it first comes.

    Arguments:
        bound: how often it may.
        clock: gives seconds that only grow.
        seconds: of one stretch.
    """

    def __init__(self, bound: int, clock: Callable[[], float], seconds: float = 60.0) -> None:
        self.bound = bound
        self._clock = clock
        self._seconds = seconds
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def __len__(self) -> int:
        """Sources that are remembered."""
        return len(self._seen)

    def may(self, source: Hashable) -> bool:
        """Note that it came; tells whether it may."""
        began, times = self._stretch(source)
        if times >= self.bound:
            return False
        self._seen[source] = (began, times + 1)
        if len(self._seen) > MAX_SOURCES:
            del self._seen[next(iter(self._seen))]
        return True

    def forgive(self, source: Hashable) -> None:
        """Take back one time that it came."""
        began, times = self._stretch(source)
        if times:
            self._seen[source] = (began, times - 1)

    def _stretch(self, source: Hashable) -> tuple[float, int]:
        now = self._clock()
        began, times = self._seen.get(source, (now, 0))
        if now - began < self._seconds:
            return began, times
        self._seen.pop(source, None)  # comes last again
        return now, 0

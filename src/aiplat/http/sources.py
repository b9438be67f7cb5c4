"""Where a connection comes from: its addresses as they count here, and how many each may have.

Knows no HTTP and no TLS.
"""

from __future__ import annotations

import functools
import ipaddress
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_LONGEST = 64
"""Characters of an address, with its zone, which is a name of an interface (15, `if.h`)."""
_SITE_BITS = 64  # of an IPv6 address: what one customer is given whole (RFC 6177)


def plain_ip(text: str) -> IpAddress | None:
    """An address without its zone; an IPv4 one that a dual-stack socket tells as IPv6 is IPv4.

    None for what is no address.
    """
    return _parsed(text) if len(text) <= _LONGEST else None


@functools.lru_cache(1024)  # each request asks it of the same few
def _parsed(text: str) -> IpAddress | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv4Address):
        return found
    return found.ipv4_mapped or ipaddress.IPv6Address(int(found))


def never_left(peer: str, here: str) -> bool:
    """Whether a connection stayed on this machine: what crossed no network was not overheard.

    Arguments:
        peer: the address at its other end.
        here: the address at this end.

    That is so when it came from loopback, and when both ends have one address: such packets go
    through the loopback interface, and the kernel drops those that come from outside under an
    address of its own.
    """
    source = plain_ip(peer)
    return source is not None and (source.is_loopback or source == plain_ip(here))


class Sources:
    """The connections of each source beyond loopback.

    Arguments:
        limit: how many one may have at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many sources have one."""
        return len(self._open)

    def is_full(self, address: str) -> bool:
        """Whether the source of `address` has as many as it may."""
        return self._open[source] >= self._limit if (source := source_of(address)) else False

    @contextmanager
    def one_more(self, address: str) -> Iterator[None]:
        """Count a connection from `address` while it is open."""
        source = source_of(address)
        self._open[source] += 1
        try:
            yield
        finally:
            self._open[source] -= 1
            if not self._open[source]:
                del self._open[source]


def source_of(address: str) -> str:
    """Whom an address stands for: an IPv6 one its whole /64. Empty for loopback and for none."""
    found = plain_ip(address)
    if found is None or found.is_loopback:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(ipaddress.IPv6Network((int(found), _SITE_BITS), strict=False))

"""Amounts as a person writes them: spans of time, and counts of tokens and requests.

Pure: knows no clock and asks nobody. The command line and the screens read the same.
"""

from __future__ import annotations

import re

from aiplat.domain.errors import InvalidRequest, clip

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_THOUSANDS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_SPAN = re.compile(r"([0-9]{1,9})([smhdw])")
_COUNT = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,9}))?([kMG]?)", re.IGNORECASE)

MAX_SPAN = 36_500 * _SECONDS["d"]
"""A hundred years, in seconds."""
MAX_COUNT = 10**12
"""`aiplat.domain.accounts.MAX_LIMIT`, without what importing that costs; a test compares them."""

SPANS = "24h or 90d"
COUNTS = "20, 20k or 1.5M"


def span(text: str, examples: str = SPANS, *, param: str | None = None) -> int:
    """Read a span of time, in seconds: ``45s``, ``30m``, ``12h``, ``90d``, ``2w``.

    Arguments:
        text: what was typed.
        examples: right ones, which are said when it is wrong.
        param: the field that it was typed into.

    Raises:
        InvalidRequest: it is none, or longer than `MAX_SPAN`.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise InvalidRequest(
            f"{clip(text)!r} is no span of time: give a number and s, m, h, d or w, such as "
            f"{examples}.",
            param=param,
        )
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds > MAX_SPAN:
        raise InvalidRequest(
            f"{clip(text)!r} is more than {MAX_SPAN // _SECONDS['d']}d: give less, such as "
            f"{examples}.",
            param=param,
        )
    return seconds


def span_or_never(text: str, *, param: str | None = None) -> int | None:
    """Read a span of time; None for ``never``."""
    if text.strip().lower() == "never":
        return None
    return span(text, "12h or 90d, or never", param=param)


def count(text: str, examples: str = COUNTS, *, param: str | None = None) -> int:
    """Read a count: ``20000``, ``20k``, ``5M``, ``1.5M``, ``1G``; k is 1000.

    Arguments:
        text: what was typed.
        examples: right ones, which are said when it is wrong.
        param: the field that it was typed into.

    Raises:
        InvalidRequest: it is none, no whole number, or not from 1 to `MAX_COUNT`.
    """
    found = _COUNT.fullmatch(text.strip())
    if found is None:
        raise _no_count(text, examples, "is no number", param)
    unit = found[3] if found[3] in _THOUSANDS else found[3].swapcase()
    behind = found[2] or ""
    places: int = 10 ** len(behind)
    number, rest = divmod(int(found[1] + behind) * _THOUSANDS[unit], places)
    if rest:
        raise _no_count(text, examples, "is no whole number", param)
    if not 1 <= number <= MAX_COUNT:
        raise _no_count(text, examples, f"is not from 1 to {MAX_COUNT}", param)
    return number


def count_or_none(text: str, *, param: str | None = None) -> int | None:
    """Read a count; None for ``none``, which is no limit."""
    if text.strip().lower() == "none":
        return None
    return count(text, "20000, 20k or 1.5M, or none for no limit", param=param)


def _no_count(text: str, examples: str, what: str, param: str | None) -> InvalidRequest:
    return InvalidRequest(f"{clip(text)!r} {what}: give one such as {examples}.", param=param)


def exactly(number: int) -> str:
    """Write a count as `count` reads it, with nothing left out: ``20k``, ``1.5M``, ``12345``."""
    for unit, size in reversed(_THOUSANDS.items()):
        if number >= size and number % size == 0:
            return f"{number // size}{unit}"
        if number > size and size > 1 and number % (size // 10) == 0:
            return f"{number // size}.{number % size // (size // 10)}{unit}"
    return str(number)


def about(number: int) -> str:
    """Write a count in a few characters, rounded: ``12.3k``, ``1.5M``."""
    size, unit = 1, ""
    for larger, of in (("k", 10**3), ("M", 10**6), ("G", 10**9), ("T", 10**12)):
        if number * 10_000 >= of * 9_995:  # 999,500 is a million already
            size, unit = of, larger
    if not unit:
        return str(number)
    value = number / size
    return f"{value:.0f}{unit}" if value >= 99.95 else f"{value:.1f}".removesuffix(".0") + unit

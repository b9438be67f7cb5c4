"""Makes texts of peers, models and persons safe to show, and numbers and times easy to read.

Templates pass every text through `harmless`, and Jinja escapes what comes out.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup, escape

from aiplat.control.sessions import WEB

_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls reorder what is near
    "\u2028\u2029\ufff9-\ufffb\ufeff"  # separators, annotations, byte order mark
    "\U000e0000-\U000e007f"  # invisible tags
    "\ud800-\udfff]"  # halves of characters, which UTF-8 cannot say
)


def harmless(text: str) -> str:
    """Take away what is not seen, and what reorders the text around it."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def finalize(value: object) -> object:
    """What Jinja does with each value before it escapes it; markup of our own stays."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return harmless(value)
    return value


def number(count: float) -> str:
    """A count with its thousands apart: 12,345."""
    return f"{count:,.0f}"


def limit(count: int | None) -> str:
    """A limit: a number, or that there is none."""
    return "none" if count is None else number(count)


def moment(at: float) -> Markup | str:
    """A time of day, in UTC, to the minute; `at` is in seconds since 1970."""
    if at <= 0:
        return "never"
    when = datetime.fromtimestamp(min(at, 253_402_300_799), UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        when.strftime("%Y-%m-%dT%H:%M:%SZ"), when.strftime("%Y-%m-%d %H:%M")
    )


def span(seconds: float) -> str:
    """A duration in at most two units: 850 ms, 4.2 s, 3 min 12 s, 2 h 5 min, 6 days."""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} days"


def short_peer(peer: str) -> str:
    """A peer as a person tells it from others: the end of its id, as the commands show it."""
    return f"…{peer[-8:]}" if len(peer) > 12 else peer


def source(told: str) -> str:
    """Where somebody was who did something: at a page of that address, at a peer, or here."""
    if told.startswith(WEB):
        return told.removeprefix(WEB) or "this machine, at the page"
    return short_peer(told) if told else "this machine"


def with_code(text: str) -> Markup:
    """A sentence with its `commands`, between backticks, as code."""
    parts = harmless(text).split("`")
    if len(parts) % 2 == 0:
        return escape(harmless(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )

"""What a person types to find a conversation, as FTS5 reads it; and the line it was found in. Pure.

Whatever is typed stands in quotes, so that nothing of it is an operator (SQLite, "FTS5", 3.1).
"""

from __future__ import annotations

import re

MAX_WORDS = 16
FOUND_CHARS = 160
_BEFORE = 40
_GAP = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def words_of(text: str) -> tuple[str, ...]:
    """Split what was typed; what holds no letter or digit finds nothing, and is left out."""
    plain = text.encode("utf-8", "replace").decode()
    words = (word for word in _GAP.split(plain) if any(c.isalnum() for c in word))
    return tuple(dict.fromkeys(words))[:MAX_WORDS]


def phrases_of(text: str) -> tuple[str, ...]:
    """Make a phrase of FTS5 of each word, of the last one a prefix, unless a space follows it."""
    words = words_of(text)
    quoted = ['"' + word.replace('"', '""') + '"' for word in words]
    if quoted and not text[-1:].isspace():
        quoted[-1] += " *"
    return tuple(quoted)


def line_of(text: str, begin: str, end: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Give the line that has the most of what was found, and where it stands there.

    Arguments:
        text: where each find stands between `begin` and `end`.

    Returns:
        At most `FOUND_CHARS` characters without control characters; for each find its first
        character and the one behind the last. Nothing, when nothing is marked.
    """
    lines = [line for line in re.split(r"[\r\n\v\f\x85\u2028\u2029]", text) if begin in line]
    if not lines:
        return "", ()
    best = max(lines, key=lambda line: line.count(begin))
    plain, marks = _unmarked(best, begin, end)
    first = marks[0][0]
    since = max(0, min(first - _BEFORE, len(plain) - FOUND_CHARS))
    shown = plain[since : since + FOUND_CHARS]
    indent = len(shown) - len(shown.lstrip())
    shown, since = shown.strip(), since + indent
    return shown, tuple(
        (max(0, a - since), min(len(shown), b - since))
        for a, b in marks
        if a - since < len(shown) and b > since
    )


def _unmarked(line: str, begin: str, end: str) -> tuple[str, list[tuple[int, int]]]:
    marks: list[tuple[int, int]] = []
    plain, opened = "", 0
    for part in re.split(f"({re.escape(begin)}|{re.escape(end)})", line):
        if part == begin:
            opened = len(plain)
        elif part == end:
            marks.append((opened, len(plain)))
        else:
            plain += part
    if line.count(begin) > len(marks):  # its end is on a later line
        marks.append((opened, len(plain)))
    return "".join(c if c.isprintable() else " " for c in plain), marks

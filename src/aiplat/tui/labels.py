"""The letters of jump mode: which letter stands for which place, and where it is drawn.

Knows no widget.
"""

from __future__ import annotations

from collections.abc import Sequence

LETTERS = "asdfghjklqwertyuiopzxcvbnm"
"""Those under the fingers first."""

Place = tuple[int, int]
"""A column and a line of the screen."""


def letters_for(count: int) -> list[str]:
    """So many labels, none the beginning of another: a letter each, or two where they run out."""
    if count <= len(LETTERS):
        return list(LETTERS[:count])
    doubled = -(-(count - len(LETTERS)) // (len(LETTERS) - 1))
    if doubled > len(LETTERS):
        count, doubled = len(LETTERS) ** 2, len(LETTERS)
    single = list(LETTERS[: len(LETTERS) - doubled])
    pairs = [first + second for first in LETTERS[len(LETTERS) - doubled :] for second in LETTERS]
    return [*single, *pairs][:count]


def spread(places: Sequence[Place], width: int, height: int, cells: int = 3) -> list[Place]:
    """Move labels that would lie on each other to the right, then down; keep all on the screen.

    Arguments:
        cells: how wide a label is.
    """
    taken: set[Place] = set()
    found: list[Place] = []
    for column, line in places:
        column = max(0, min(column, width - cells))
        line = max(0, min(line, height - 1))
        for _ in range(max(1, width * height)):
            if not any((column + by, line) in taken for by in range(cells)):
                break
            column += 1
            if column > width - cells:
                column, line = 0, (line + 1) % max(1, height)
        taken.update((column + by, line) for by in range(cells))
        found.append((column, line))
    return found

"""What F1 says of the keys: groups of lines, searched. Knows no widget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """A thing that a key does.

    Arguments:
        keys: as they are shown, parted by spaces.
        words: what they do.
        off: why it makes no sense now; empty where it does.
    """

    keys: str
    words: str
    off: str = ""


@dataclass(frozen=True)
class Group:
    """Keys that hold in one place."""

    title: str
    keys: tuple[Key, ...]


def joined(keys: Sequence[Key]) -> tuple[Key, ...]:
    """Make one line of keys that do the same."""
    found: dict[tuple[str, str], list[str]] = {}
    for key in keys:
        shown = found.setdefault((key.words, key.off), [])
        if key.keys not in shown:
            shown.append(key.keys)
    return tuple(Key(" ".join(shown), words, off) for (words, off), shown in found.items())


def matching(groups: Sequence[Group], query: str) -> tuple[Group, ...]:
    """Only the lines that hold every word that is searched; without words, all that say something.

    A key finds its line, too.
    """
    words = query.casefold().split()
    found = []
    for group in groups:
        keys = tuple(
            key for key in group.keys
            if all(w in f"{key.keys} {key.words} {group.title}".casefold() for w in words)
        )  # fmt: skip
        if keys:
            found.append(Group(group.title, keys))
    return tuple(found)

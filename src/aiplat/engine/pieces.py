"""The tokenizer of `echo`: pieces of up to four characters, each with an id of its own. Pure.

Nothing is learned and nothing kept: an id says by itself what its text is, on any machine.
Up to four ASCII characters make one token, a word's beginning with the space before it, which
is about as long as a real model's tokens; any other character is one by itself.
"""

from __future__ import annotations

import re

_PIECE = re.compile(r" ?[!-~]{1,3}|[\x00-\x7f]|[^\x00-\x7f]")
_ASCII = 128
_FIRST = (0, _ASCII, _ASCII + _ASCII**2, _ASCII + _ASCII**2 + _ASCII**3)
_OTHERS = _FIRST[3] + 128 * 128 * 128 * 128
VOCABULARY = _OTHERS + 0x110000
"""Ids are from 0 to one less than this."""


def cut(text: str) -> list[str]:
    """Cut `text` into the texts of its tokens."""
    return _PIECE.findall(text)


def encode(texts: list[str]) -> list[int]:
    """The tokens of what `cut` gave; `decode` gives the whole text back exactly."""
    return list(map(_id, texts))


def decode(ids: list[int] | tuple[int, ...]) -> str:
    """The text of tokens."""
    return "".join(map(piece, ids))


def piece(token: int) -> str:
    """The text of one token.

    Raises:
        ValueError: there is no such token.
    """
    if not 0 <= token < VOCABULARY:
        raise ValueError(f"{token} is no token of echo: they are from 0 to {VOCABULARY - 1}")
    if token >= _OTHERS:
        return chr(token - _OTHERS)
    length = next(n for n in (4, 3, 2, 1) if token >= _FIRST[n - 1])
    rest, characters = token - _FIRST[length - 1], []
    for _ in range(length):
        rest, code = divmod(rest, _ASCII)
        characters.append(chr(code))
    return "".join(reversed(characters))


def _id(text: str) -> int:
    if ord(text[0]) >= _ASCII:
        return _OTHERS + ord(text)
    number = 0
    for character in text:
        number = number * _ASCII + ord(character)
    return _FIRST[len(text) - 1] + number

"""What accounts and keys may be called: nothing that looks like another, or is not seen at all."""

from __future__ import annotations

import re
import unicodedata

from aiplat.domain.errors import InvalidRequest, clip

MAX_NAME = 32
MAX_KEY_NAME = 64
MAX_LABEL = 60
_MAX_TYPED = 4 * MAX_KEY_NAME
"""Spaces, and marks that become one with their letters, may make a name longer as it is typed."""
LOCAL_OPERATOR = "operator"
"""The account of whoever owns the gateway's machine; made at its first start."""

_USER = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?\Z", re.ASCII)


def user_name(text: str) -> str:
    """The name of an account as it is kept: small ASCII letters, digits, and ``. _ -`` inside.

    With no other letters no name can look like another's (Unicode Technical Standard 39).

    Raises:
        InvalidRequest: it is none.
    """
    name = text.strip().lower() if text.isascii() else text
    if not _USER.match(name):
        raise InvalidRequest(
            f"A name has 1 to {MAX_NAME} of the letters a-z, digits, and . _ - between them, but "
            f"is {clip(text)!r}{_foreign(text)}. Choose another.",
            param="name",
        )
    return name


def _foreign(text: str) -> str:
    """Which character is not what it looks like."""
    for character in text:
        if not character.isascii():
            what = unicodedata.name(character, f"U+{ord(character):04X}")
            return f" (it holds {what})"
    return ""


def key_name(text: str) -> tuple[str, str]:
    """The name of a key, and what it is compared by among one person's keys.

    Raises:
        InvalidRequest: it is empty, too long, or holds what is not seen.
    """
    if len(text) > _MAX_TYPED:  # before all that looks at each character
        raise _wrong_length(text, len(text))
    name = " ".join(part for part in unicodedata.normalize("NFC", text).split(" ") if part)
    hidden = [c for c in name if _is_unseen(c)]
    if hidden:
        raise InvalidRequest(
            f"A key's name is shown as it is, but {clip(text)!r} holds the character "
            f"U+{ord(hidden[0]):04X}, which is not seen. Choose another.",
            param="name",
        )
    if not 1 <= len(name) <= MAX_KEY_NAME:
        raise _wrong_length(text, len(name))
    return name, unicodedata.normalize("NFKC", name).casefold()


def _wrong_length(text: str, length: int) -> InvalidRequest:
    return InvalidRequest(
        f"A key's name has 1 to {MAX_KEY_NAME} characters, but {clip(text)!r} has {length}. "
        "Choose another.",
        param="name",
    )


def _is_unseen(character: str) -> bool:
    if unicodedata.category(character) in _UNSEEN or character in _BLANK:
        return True
    return character.isspace() and character != " "


_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Control, format (bidirectional, zero width), surrogates, private, unassigned, separators."""
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
"""Letters and marks of other categories that show nothing: fillers, a blank pattern, variation
selectors (Unicode Character Database, Default_Ignorable_Code_Point)."""


def label_of(text: str) -> str:
    """What a log-in says it was begun by, as it is kept: one line, cut where it is too long."""
    seen = "".join(c if not _is_unseen(c) else " " for c in text[:_MAX_TYPED])
    return " ".join(seen.split())[:MAX_LABEL]

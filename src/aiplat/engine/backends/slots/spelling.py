"""The bytes of single tokens, which logprobs tell of. Knows tokenizers, no model."""

from __future__ import annotations

import re
from typing import Any

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>\Z")
_WORD = "\u2581"


class Spellings:
    """Spells the tokens of one tokenizer.

    A token of byte-level BPE is written in 256 characters that stand for bytes (GPT-2's
    ``bytes_to_unicode``), one of SentencePiece in plain text with ``▁`` for a space and
    ``<0xE2>`` for a single byte.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = frozenset(tokenizer.all_special_ids) | frozenset(
            getattr(tokenizer, "added_tokens_decoder", {})
        )
        self._is_bytes = _is_byte_level(tokenizer)

    def of(self, token: int) -> bytes:
        """The token's bytes; none for an id that has no token."""
        name = self._tokenizer.convert_ids_to_tokens(token)
        if name is None:
            return b""
        if token in self._special:
            return str(name).encode()
        if self._is_bytes and all(character in _BYTES for character in name):
            return bytes(_BYTES[character] for character in name)
        if found := _BYTE.match(name):
            return bytes([int(found[1], 16)])
        return str(name).replace(_WORD, " ").encode()


def _is_byte_level(tokenizer: Any) -> bool:
    """Whether its decoder makes bytes of characters; a space is then written as ``Ġ``."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    return "ByteLevel" in repr(getattr(fast, "decoder", ""))


def _byte_characters() -> dict[str, int]:
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    named = {chr(byte): byte for byte in plain}
    return named | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTES = _byte_characters()

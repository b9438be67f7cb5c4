"""Text of tokens: whole characters, stop strings across tokens, the end."""

from __future__ import annotations

from collections.abc import Sequence

from aiplat.engine.speech import Speech

END = frozenset({0})


def decode(tokens: Sequence[int]) -> str:
    """Tokens are bytes."""
    return bytes(tokens).decode("utf-8", "replace")


def said(data: bytes, *stops: str) -> tuple[list[str], Speech]:
    speech = Speech(decode, END, stops)
    parts = [speech.say(byte) for byte in data]
    return [*parts, speech.flush()], speech


def test_characters_are_whole() -> None:
    parts, _ = said("aü世🚀b".encode())
    assert "".join(parts) == "aü世🚀b"
    assert all("\ufffd" not in part for part in parts)


def test_half_a_character_at_the_end_is_dropped() -> None:
    parts, speech = said("ok🚀".encode()[:-1])
    assert "".join(parts) == "ok"
    assert not speech.ended


def test_stop_string_across_tokens_is_never_said() -> None:
    parts, speech = said(b"one two END three", "END", "never")
    assert "".join(parts) == "one two "
    assert speech.ended


def test_what_looked_like_a_stop_is_said_after_all() -> None:
    parts, speech = said(b"an EN", "END")
    assert "".join(parts) == "an EN"
    assert not speech.ended


def test_the_end_token_has_no_text() -> None:
    parts, speech = said(b"hi\x00there")
    assert "".join(parts) == "hi"
    assert speech.ended


def test_bytes_that_never_make_a_character_are_not_held_for_ever() -> None:
    speech = Speech(decode, END)
    parts = [speech.say(0xFF) for _ in range(40)]
    assert any(parts)

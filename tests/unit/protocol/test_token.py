"""The token: it survives a mail program, and each way to spoil it has its own sentence."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aiplat.protocol.membership import seal
from aiplat.protocol.token import MAX_TEXT, PREFIX, Token, TokenError, decode, encode
from tests.unit.protocol.test_membership import KEY, NETWORK, OTHER, VOUCHER

ADDRESS = "/ip4/10.0.0.1/tcp/4001/p2p/12D3KooWx"
TOKEN = Token(
    name="lab", network=NETWORK, psk="ab" * 32, addresses=(ADDRESS,),
    voucher=seal(VOUCHER, KEY.sign),
)  # fmt: skip
TEXT = encode(TOKEN)


def test_there_and_back() -> None:
    assert decode(TEXT) == TOKEN
    assert decode(TEXT).opened() == VOUCHER
    assert decode(TEXT).roles == ("processor",)


def test_it_is_one_word_of_letters_and_digits() -> None:
    assert TEXT.startswith(PREFIX)
    assert TEXT.removeprefix(PREFIX).isalnum()


def test_line_breaks_and_capitals_do_no_harm() -> None:
    broken = "\n > ".join(TEXT[n : n + 60] for n in range(0, len(TEXT), 60)).replace(">", " ")
    assert decode(f"  {broken.upper()}\r\n") == TOKEN


def test_it_shows_no_secret() -> None:
    assert repr(TOKEN) == "Token('lab')"
    assert "abab" not in f"{TOKEN}"


@given(st.integers(len(PREFIX), len(TEXT) - 1), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_mistyped_letter_is_noticed(place: int, letter: str) -> None:
    mistyped = TEXT[:place] + letter + TEXT[place + 1 :]
    if mistyped == TEXT:
        return
    with pytest.raises(TokenError):
        decode(mistyped)


def test_the_last_letter_counts_too() -> None:
    """It may hold bits that no byte has: whatever they are, they were not written so."""
    taken = []
    for padding in range(5):
        text = encode(replace(TOKEN, name="lab" + "x" * padding))
        for letter in "abcdefghijklmnopqrstuvwxyz234567":
            with contextlib.suppress(TokenError):
                decode(text[:-1] + letter)
                taken.append(text[:-1] + letter == text)
    assert taken == [True] * 5


@given(st.integers(len(PREFIX), len(TEXT) - 1))
def test_a_token_that_was_cut_off_is_noticed(length: int) -> None:
    with pytest.raises(TokenError, match="mistyped or cut off"):
        decode(TEXT[:length])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "No token was given"),
        (" \n", "No token was given"),
        ("sk-aip-123", "This is no token"),
        ("aiplat2-abcd", "of kind 2"),
        (PREFIX + "0189", "mistyped or cut off"),
        ("a" * (MAX_TEXT + 1), f"more than {MAX_TEXT} characters"),
    ],
)
def test_what_is_none_is_told_apart(text: str, words: str) -> None:
    with pytest.raises(TokenError, match=words):
        decode(text)


@pytest.mark.parametrize(
    "token",
    [
        replace(TOKEN, name=""),
        replace(TOKEN, name="x" * 41),
        replace(TOKEN, name="a\x1b[31m"),
        replace(TOKEN, network=b"short"),
        replace(TOKEN, psk="nothex"),
        replace(TOKEN, addresses=(ADDRESS,) * 9),
    ],
)
def test_one_that_says_what_cannot_be_is_refused(token: Token) -> None:
    with pytest.raises(TokenError, match="cannot be read"):
        decode(encode(token))


def test_a_voucher_of_another_network_is_refused() -> None:
    network = OTHER.public_key().public_bytes_raw()
    foreign = seal(replace(VOUCHER, network=network), OTHER.sign)
    with pytest.raises(TokenError, match="not one of the network lab"):
        decode(encode(replace(TOKEN, voucher=foreign)))

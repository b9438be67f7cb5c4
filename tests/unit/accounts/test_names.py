"""Names: nothing that looks like another's, and nothing that is not seen."""

from __future__ import annotations

import string
import time
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aiplat.accounts.names import MAX_KEY_NAME, MAX_NAME, key_name, user_name
from aiplat.domain.errors import InvalidRequest
from tests.unit.accounts.helpers import refused

LETTERS = set(string.ascii_lowercase + string.digits + "._-")
DROP = "ann'; DROP TABLE users; --"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ann", "ann"), (" Ann\n", "ann"), ("a", "a"), ("7", "7"), ("a.b_c-d", "a.b_c-d"),
        ("x" * MAX_NAME, "x" * MAX_NAME), ("BOB", "bob"),
    ],
)  # fmt: skip
def test_what_an_account_may_be_called(text: str, name: str) -> None:
    assert user_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "", " ", DROP, "a b", "-ann", "ann-", ".ann", "_", "ann\0", "an\nn", "x" * (MAX_NAME + 1),
        "peer:12D3", "../ann", "ann@b", "ann\x1b[2J", "a" * 1_000_000, "ann\n\n\nbob",
    ],
)  # fmt: skip
def test_what_it_may_not(text: str) -> None:
    with refused(InvalidRequest, "A name has 1 to 32 of the letters a-z, digits") as caught:
        user_name(text)
    assert caught.value.param == "name"
    words = str(caught.value)
    assert words.isprintable()
    assert len(words) < 400


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("аnn", "CYRILLIC SMALL LETTER A"), ("ann\u202e", "RIGHT-TO-LEFT OVERRIDE"),
        ("ａｎｎ", "FULLWIDTH LATIN SMALL LETTER A"), ("ann\u200b", "ZERO WIDTH SPACE"),
        ("ſam", "LATIN SMALL LETTER LONG S"), ("\u0131an", "LATIN SMALL LETTER DOTLESS I"),
        ("\u212a", "KELVIN SIGN"), ("ann\ud800", r"U\+D800"),
        ("ñ", "LATIN SMALL LETTER N WITH TILDE"),
    ],
)  # fmt: skip
def test_a_letter_that_looks_like_another_is_named(text: str, what: str) -> None:
    with refused(InvalidRequest, f"it holds {what}"):
        user_name(text)


@given(st.text(max_size=40))
def test_whatever_is_typed_a_name_has_plain_letters_alone(text: str) -> None:
    try:
        name = user_name(text)
    except InvalidRequest:
        return
    assert set(name) <= LETTERS
    assert 1 <= len(name) <= MAX_NAME
    assert user_name(name) == name
    assert name == text.strip().lower()


@given(st.text(alphabet=sorted(LETTERS), min_size=1, max_size=MAX_NAME), st.data())
def test_no_look_alike_of_a_name_is_one(name: str, data: st.DataObject) -> None:
    """One letter is replaced by another that Unicode says is the same letter in other clothes."""
    assume(name[0] not in "._-" and name[-1] not in "._-")
    assert user_name(name) == name
    place = data.draw(st.integers(0, len(name) - 1))
    like = data.draw(st.sampled_from(ALIKE.get(name[place], ["\u200d" + name[place]])))
    with pytest.raises(InvalidRequest):
        user_name(name[:place] + like + name[place + 1 :])


ALIKE: dict[str, list[str]] = {}
for code in range(0x80, 0x2FFFF):
    plain = unicodedata.normalize("NFKC", chr(code)).casefold()
    if plain in LETTERS:
        ALIKE.setdefault(plain, []).append(chr(code))


# -- keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "folded"),
    [
        ("laptop", "laptop", "laptop"), ("  My  Laptop ", "My Laptop", "my laptop"),
        ("Caf\u0065\u0301", "Café", "café"), ("Straße", "Straße", "strasse"),
        ("ﬁle", "ﬁle", "file"), ("笔记本", "笔记本", "笔记本"), (DROP, DROP, DROP.casefold()),
        ("x" * MAX_KEY_NAME, "x" * MAX_KEY_NAME, "x" * MAX_KEY_NAME), ("🔑", "🔑", "🔑"),
    ],
)  # fmt: skip
def test_what_a_key_is_called_and_compared_by(text: str, name: str, folded: str) -> None:
    assert key_name(text) == (name, folded)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a\0b", "0000"), ("a\nb", "000A"), ("a\tb", "0009"), ("a\x1b[31m", "001B"),
        ("a\x7f", "007F"), ("a\x85b", "0085"), ("a\u202eb", "202E"), ("a\u2066b", "2066"),
        ("a\u200bb", "200B"), ("a\ufeffb", "FEFF"), ("a\u00adb", "00AD"), ("a\u00a0b", "00A0"),
        ("a\u2028b", "2028"), ("a\ud800b", "D800"), ("a\ue000b", "E000"), ("\u3164", "3164"),
        ("laptop\ufe0f", "FE0F"), ("a\u2800b", "2800"), ("a\U000e0061b", "E0061"),
    ],
)  # fmt: skip
def test_what_is_not_seen_is_in_no_name(text: str, code: str) -> None:
    with refused(InvalidRequest, f"holds the character U\\+{code}, which is not seen") as caught:
        key_name(text)
    assert str(caught.value).isprintable() or code == "D800"


@pytest.mark.parametrize("text", ["", "   ", "x" * (MAX_KEY_NAME + 1), "é" * 300])
def test_a_name_that_is_too_long_or_none(text: str) -> None:
    with refused(InvalidRequest, "A key's name has 1 to 64 characters, but .* has") as caught:
        key_name(text)
    assert caught.value.param == "name"


def test_a_megabyte_costs_nothing() -> None:
    began = time.process_time()
    for _ in range(20):
        with pytest.raises(InvalidRequest):
            key_name("e\u0301" * 500_000)
    assert time.process_time() - began < 1.0


@given(st.text(max_size=MAX_KEY_NAME))
def test_whatever_a_key_is_called_it_can_be_printed(text: str) -> None:
    try:
        name, folded = key_name(text)
    except InvalidRequest:
        return
    assert name.isprintable()
    assert 1 <= len(name) <= MAX_KEY_NAME
    assert key_name(name) == (name, folded), "said again, it is the same"
    assert any(unicodedata.category(c)[0] in "LNPSM" for c in name), "something is seen"
    assert key_name(name.swapcase())[1] == folded or not name.isascii()

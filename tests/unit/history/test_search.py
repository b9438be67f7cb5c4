"""Searching: all words, the last one a beginning, whatever is typed; and where they stand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from aiplat.control.history import HistoryAsk
from aiplat.domain.conversations import AttachedFile
from aiplat.history.search import FOUND_CHARS, line_of, phrases_of
from tests.unit.history.helpers import desk, found, question, save, talk


def test_every_word_must_stand_somewhere_in_the_conversation(tmp_path: Path) -> None:
    at = desk(tmp_path)
    both = talk("The café of Ænima", "An answer of RABBITS", title="Paris in spring")
    other = talk("The café", "nothing")
    save(at, both)
    save(at, other)
    assert set(found(at, "cafe")) == {both.id, other.id}
    assert found(at, "paris rabbit") == [both.id], "in the title and in an answer"
    assert found(at, "rabbit paris ") == [], "no beginning: a space follows, or it is not the last"
    assert found(at, "RABBITS cafe springtime") == []
    assert found(at, "spr") == [both.id]


def test_files_are_searched_too(tmp_path: Path) -> None:
    at = desk(tmp_path)
    files = (AttachedFile("main.py", "def frobnicate():\n    pass"), AttachedFile("b.txt", "zebra"))
    given = talk("See this")
    save(at, given.__replace__(turns=(question("See this", files=files),)))
    for words in ("frobnicate", "main.py", "zebra", "zeb"):
        assert found(at, words) == [given.id]
    [one] = at.list(HistoryAsk(search="frobn")).conversations
    assert (one.found, one.marks) == ("def frobnicate():", ((4, 14),))


def test_a_found_line_says_where_the_words_stand(tmp_path: Path) -> None:
    at = desk(tmp_path)
    given = talk("no\n\n  a brown\tfox, and a café  \nno fox", "nothing")
    save(at, given)
    [one] = at.list(HistoryAsk(search="fox cafe")).conversations
    assert one.found == "a brown fox, and a café"
    assert [one.found[a:b] for a, b in one.marks] == ["fox", "café"]
    titled = talk("hello", title="A fox")
    save(at, titled)
    ones = {one.id: one for one in at.list(HistoryAsk(search="fox")).conversations}
    assert (ones[titled.id].found, ones[titled.id].marks) == ("", ()), "in its title alone"


def test_a_long_line_is_cut_around_the_first_word() -> None:
    for before, behind in ((500, 500), (0, 500), (500, 0), (10, 3)):
        text = "x" * before + " <fox> " + "y" * behind + " <dog>"
        shown, marks = line_of(text, "<", ">")
        assert len(shown) <= FOUND_CHARS
        assert shown[slice(*marks[0])] == "fox"
        assert all(0 <= a < b <= len(shown) for a, b in marks)


def test_the_line_with_most_of_the_words_is_shown() -> None:
    assert line_of("a <b>\nc <d> <e> \x1b[0m\n<f>", "<", ">") == ("c d e  [0m", ((2, 3), (4, 5)))
    assert line_of("nothing", "<", ">") == ("", ())
    assert line_of("a <b\nc> d", "<", ">") == ("a b", ((2, 3),)), "a phrase over two lines"


@pytest.mark.parametrize(
    ("typed", "phrases"),
    [
        ("", ()),
        ('  "" * - ', ()),
        ("one two", ('"one"', '"two" *')),
        ("one two ", ('"one"', '"two"')),
        ('say "hi" OR', ('"say"', '"""hi"""', '"OR" *')),
        ("a\x00b", ('"a"', '"b" *')),
        ("twice twice", ('"twice" *',)),
    ],
)
def test_what_is_typed_becomes_phrases(typed: str, phrases: tuple[str, ...]) -> None:
    assert phrases_of(typed) == phrases


def test_whatever_is_typed_is_only_words(tmp_path: Path) -> None:
    at = desk(tmp_path)
    given = talk('She said "NEAR(a b, 2)" AND -left OR title:x^2', "漢字 العربية 🙂 naïve")
    save(at, given)
    pieces = [
        '"', "'", "*", "^", "(", ")", "{", "}", ":", "-", "+", ",", ".", "\\", ";", "%", "_",
        "\x00",
        "AND", "OR", "NOT", "NEAR", "NEAR(", "title", "text:", "said", "left", " ", "\t", "\n",
        "漢字", "العربية", "🙂", "́", "\ud800", "﷽", "ß", "İ", "\U000e0001", "--", "/*", "x" * 90,
    ]  # fmt: skip
    draw = random.Random(7)
    for _ in range(400):
        typed = "".join(draw.choices(pieces, k=draw.randrange(8)))
        assert set(found(at, typed)) <= {given.id}
    for words in ('"NEAR(a b,', "AND -left", "title:x^2", "漢字", "العربية", "naive", "said,"):
        assert found(at, words) == [given.id]
    assert found(at, "🙂") == found(at, '"') == [], "there is no word in it"
    assert found(at, "   ") == [given.id], "nothing was typed"
    assert found(at, "said NOT left") == [], "no operator: the word is looked for"

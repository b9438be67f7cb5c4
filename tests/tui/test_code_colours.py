"""Colours of code: in known languages alone, for a bounded time, and no character is lost."""

from __future__ import annotations

import pytest

from aiplat.tui.markdown import blocks as blocks_under_test
from aiplat.tui.markdown import code as under_test
from aiplat.tui.markdown.blocks import Blocks
from aiplat.tui.markdown.code import Budget, coloured
from aiplat.tui.markdown.languages import LANGUAGES, MAX_COLOURED, lexer_of
from aiplat.tui.markdown.lines import Line, text_of
from aiplat.tui.markdown.render import render

CODE = "def f(x):\n    return 'text'  # why\n\n" * 20
HOSTILE = ("\n" * 300, "(" * 300, "a" * 300, "/*'\"`${<!--\\" * 20, "\t \n" * 100, "a: = 0x\n" * 40)


class Ticking:
    """A clock that moves by the same each time somebody looks."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.at = 0.0
        self.looked = 0

    def __call__(self) -> float:
        self.looked += 1
        self.at += self.step
        return self.at


def written(lines: list[Line]) -> str:
    return "\n".join(text_of(line) for line in lines)


def styles(lines: list[Line]) -> set[str]:
    return {style for line in lines for _, style in line}


@pytest.mark.parametrize("language", sorted(LANGUAGES | {"c", "c++", "cpp"}))
def test_each_language_has_a_lexer_and_loses_no_character(language: str) -> None:
    assert lexer_of(language) is not None
    for text in (*HOSTILE, CODE):
        assert written(coloured(text, language)) == text


@pytest.mark.parametrize(
    "language",
    ["autohotkey", "lilypond", "autoit", "make", "console", "ini", "pycon", "fish", "matlab",
     "postgres", "objc", "scala", "nosuch", "", "x" * 99],
)  # fmt: skip
def test_code_in_another_language_is_plain_and_no_lexer_is_asked(language: str) -> None:
    assert lexer_of(language) is None
    assert coloured(CODE, language) == [
        ((line, "code"),) if line else () for line in CODE.split("\n")
    ]


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_c_is_coloured_though_not_by_all_its_rules(language: str) -> None:
    told = styles(coloured("static int f(int x) { return x + 1; } // why\n;", language))
    assert {"code.keyword", "code.number", "code.comment"} <= told
    assert type(lexer_of(language)).__name__.startswith("Quick")


def test_code_within_markdown_asks_no_other_lexer() -> None:
    lines = coloured("```autohotkey\n; comment\nMsgBox 1\n```\n", "md", Budget(clock=lambda: 0.0))
    assert len(styles(lines[1:3])) == 1


def test_a_language_has_all_its_names() -> None:
    for name in ("py", "js", "ts", "sh", "zsh", "c#", "rs", "golang", "yml", "rb"):
        assert lexer_of(name) is not None, name


def test_colours_end_when_their_time_is_spent_and_the_code_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(under_test, "BLOCK_SECONDS", 5.0)
    clock = Ticking(1.0)
    lines = coloured(CODE, "python", Budget(100.0, clock))
    assert written(lines) == CODE
    assert clock.looked == 6  # at the beginning, and at each token
    assert "code.keyword" in styles(lines[:1]) and styles(lines[2:]) == {"code"}


def test_many_blocks_have_no_more_time_than_a_text_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(under_test, "BLOCK_SECONDS", 5.0)
    clock = Ticking(1.0)
    budget = Budget(18.0, clock)
    blocks = [coloured(CODE, "python", budget) for _ in range(9)]
    assert ["code.keyword" in styles(block) for block in blocks] == [True] * 4 + [False] * 5
    budget.renew(80)  # another width: all is drawn anew
    assert "code.keyword" in styles(coloured(CODE, "python", budget))


def test_the_blocks_of_a_text_share_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Ticking(1.0)  # one token takes all of it
    monkeypatch.setattr(blocks_under_test, "Budget", lambda: Budget(clock=clock))
    blocks = Blocks("```py\ndef f(): pass\n```\n\n- ```py\n  y = 1\n  ```\n\ntext\n")
    drawn = [render(block, 40) for block in blocks.all]
    assert "code.keyword" in styles(drawn[0]) and "code.number" not in styles(drawn[0] + drawn[1])
    clock.step = 0.0
    drawn = [render(block, 50) for block in blocks.all]
    assert "code.keyword" in styles(drawn[0]) and "code.number" in styles(drawn[1])


def test_only_the_beginning_of_long_code_is_coloured() -> None:
    count = MAX_COLOURED // len("return 1\n")  # whole lines that are within it
    lines = coloured("return 1\n" * (count + 5), "python", Budget(clock=lambda: 0.0))
    assert written(lines) == "return 1\n" * (count + 5)
    assert "code.keyword" in styles(lines[count - 1 : count])
    assert styles(lines[count:]) == {"code"}
    assert written(coloured("x" * (MAX_COLOURED + 1), "python")) == "x" * (MAX_COLOURED + 1)
    assert MAX_COLOURED == 20_000  # what the languages were tried with


def test_a_lexer_that_changes_the_text_does_not_change_what_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Wrong:
        def get_tokens(self, text: str) -> list[tuple[str, str]]:
            return [("Token.Keyword", text[:3]), ("Token.Keyword", "new"), ("Token", text[3:])]

    monkeypatch.setattr(under_test, "lexer_of", lambda name: Wrong())
    assert coloured("abcdef\n", "x") == [(("abc", "code.keyword"), ("def", "code")), ()]

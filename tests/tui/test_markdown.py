"""Markdown as lines: whole, and as it streams in."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len

from aiplat.tui.markdown.blocks import Blocks
from aiplat.tui.markdown.lines import Line, fold, text_of, wrap
from aiplat.tui.markdown.render import render

SOURCE = """# Title

Some **bold and *both*** with `code` and a [link](https://example.org/x).

1. first
2. second, which is long enough to be broken where the line ends
   - nested
3. third

> a quote
> goes on

```python
def f(x):
    return "text"  # why
```

| a | b |
|---|--:|
| 1 | 22222 |

---

The end: 漢字 and עברית.
"""


def lines_of(blocks: Blocks, width: int = 40) -> list[Line]:
    lines: list[Line] = []
    for block in blocks.all:
        if lines and not block.close_up:
            lines.append(())
        lines += render(block, width)
    return lines


def texts(source: str, width: int = 40) -> list[str]:
    return [text_of(line).rstrip() for line in lines_of(Blocks(source), width)]


def styles(source: str) -> list[tuple[str, str]]:
    return [span for line in lines_of(Blocks(source)) for span in line]


def test_all_kinds_of_blocks() -> None:
    assert texts(SOURCE) == [
        "Title",
        "",
        "Some bold and both with code and a link",
        "(https://example.org/x).",
        "",
        "1. first",
        "2. second, which is long enough to be",
        "   broken where the line ends",
        "   ◦ nested",
        "3. third",
        "",
        "▌ a quote goes on",
        "",
        " python",
        " def f(x):",
        '     return "text"  # why',
        "",
        "a │     b",
        "──┼──────",
        "1 │ 22222",
        "",
        "─" * 40,
        "",
        "The end: 漢字 and עברית.",
    ]


def test_styles_nest_and_end() -> None:
    assert styles("a **b *c* d** e") == [
        ("a ", ""), ("b ", "strong"), ("c", "strong em"), (" d", "strong"), (" e", ""),
    ]  # fmt: skip


def test_a_link_shows_where_it_leads_unless_its_text_says_so() -> None:
    assert "(https://evil.example/)" in "".join(texts("[your bank](https://evil.example/)", 60))
    assert texts("<https://example.org>", 60) == ["https://example.org"]


def test_markup_of_others_is_text() -> None:
    assert texts("[bold]x[/bold] <b>y</b>", 60) == ["[bold]x[/bold] <b>y</b>"]


def test_code_is_coloured_and_an_unknown_language_is_not() -> None:
    assert ("def", "code.keyword") in styles("```python\ndef f(): pass\n```")
    assert {style for _, style in styles("```nosuch\ndef f(): pass\n```")} == {
        "fence.head", "fence.more", "fence.fill", "code",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_streamed_in_any_pieces_it_ends_as_the_whole(seed: int) -> None:
    chance = random.Random(seed)
    blocks, place = Blocks(), 0
    while place < len(SOURCE):
        step = chance.randint(1, 1 + 20 * (seed % 3))
        blocks.append(SOURCE[place : place + step])
        place += step
    before = [text_of(line).rstrip() for line in lines_of(blocks)]
    blocks.close()
    assert [text_of(line).rstrip() for line in lines_of(blocks)] == texts(SOURCE)
    assert before == texts(SOURCE)


def test_what_is_before_the_last_block_is_never_looked_at_again() -> None:
    blocks = Blocks()
    for number in range(50):
        blocks.append(f"Paragraph {number}.\n\n- one\n- two\n\n")
    closed = list(blocks.closed)
    blocks.append("More.")
    assert blocks.closed[: len(closed)] == closed
    assert len(blocks.tail) == 1 and len(blocks.closed) >= 3 * 49


def test_an_open_fence_is_coloured_line_by_line() -> None:
    blocks = Blocks()
    blocks.append("```python\n")
    for number in range(200):
        blocks.append(f"x = {number}\n")
        block = blocks.tail[-1]
        assert block.code is not None and len(render(block, 40)) == number + 2
    blocks.append("```\n\nAfter it.")
    assert [text_of(line).rstrip() for line in lines_of(blocks)][-1] == "After it."


def test_a_fence_within_a_fence_stays_code() -> None:
    source = "````\n```\ninner\n```\n````\nafter\n"
    blocks = Blocks()
    for character in source:
        blocks.append(character)
    assert [text_of(line).strip() for line in lines_of(blocks)] == [
        "text", "```", "inner", "```", "", "after",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [1, 7, 20, 79])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    text = "word " * 20 + "漢字" * 30 + " " + "x" * 200 + " עברית " * 9 + "e\u0301" * 40
    for line in wrap([(text, "")], width) + fold([(text, "code")], width):
        assert cell_len(text_of(line)) <= max(width, 2)


def test_folding_loses_no_character() -> None:
    code = "    indented = '" + "漢x" * 50 + "'"
    assert "".join(text_of(line) for line in fold([(code, "")], 17)) == code


def test_a_wide_table_is_made_narrow() -> None:
    cells = " | ".join("word " * 12 for _ in range(4))
    for line in texts(f"| {cells} |\n|---|---|---|---|\n| {cells} |\n", 60):
        assert cell_len(line) <= 60


def test_another_width_is_drawn_from_the_source_with_numbers_and_links() -> None:
    source = "1. one\n1. two [link][a]\n1. three\n\n[a]: https://example.org/x\n\nA [link][a].\n"
    blocks = Blocks(source)
    lines_of(blocks, 40)
    assert not any(block.tokens for block in blocks.all)
    assert [text_of(line) for line in lines_of(blocks, 70)] == [
        "1. one", "2. two link (https://example.org/x)", "3. three", "",
        "A link (https://example.org/x).",
    ]  # fmt: skip

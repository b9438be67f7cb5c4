"""Markdown as lines: whole, and as it streams in."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len

from aiplat.domain.conversations import AnswerFacts, Turn
from aiplat.tui.chat.entry import Entry
from aiplat.tui.markdown import blocks as under_test
from aiplat.tui.markdown import fence as fence_under_test
from aiplat.tui.markdown.blocks import Blocks
from aiplat.tui.markdown.code import coloured
from aiplat.tui.markdown.lines import Line, fold, text_of, wrap
from aiplat.tui.markdown.render import code_of, render

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


NESTED = """```py
first = 1
```

1. Install:

   ```sh
   pip install x
     indented
   ```

   Then:

       tools = 4

2. > ~~~
   > quoted
   > ~~~
   > - ```
   >   deep
   >   ```
   >   ```
   >   next to it
   >   ```

No code.
"""
CODES = ["first = 1\n", "pip install x\n  indented\n", "tools = 4\n", "quoted\n", "deep\n",
         "next to it\n"]  # fmt: skip


@pytest.mark.parametrize("state", ["done", "running"])
def test_code_at_any_depth_is_a_stop_with_the_code_as_it_was_written(state: str) -> None:
    facts = AnswerFacts(state=state)  # type: ignore[arg-type]
    entry = Entry(Turn(id="trn", role="assistant", text=NESTED, facts=facts), "")
    lines = entry.lines(60)
    stops = entry.stops[1:]
    assert [stop.code for stop in stops] == CODES
    for stop, code in zip(stops, CODES, strict=True):
        drawn = [text_of(line) for line in lines[stop.first : stop.last]]
        assert any(name in drawn[0] for name in ("py", "sh", "text"))
        assert all(a.strip() in b for a, b in zip(code.splitlines(), drawn[1:], strict=True))


def test_the_code_of_a_block_that_is_drawn_again_stays() -> None:
    blocks = Blocks(NESTED)
    for width in (40, 70, 40):
        found = [code for block in blocks.all for *_, code in code_of(block, render(block, width))]
        assert found == CODES


def drawn_while(monkeypatch: pytest.MonkeyPatch, blocks: Blocks, pieces: list[str]) -> int:
    """How many characters of code are drawn as these pieces come."""
    drawn: list[int] = []

    def counted(code: str, *rest: object) -> list[Line]:
        drawn.append(len(code))
        return coloured(code, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(fence_under_test, "coloured", counted)
    for piece in pieces:
        blocks.append(piece)
        lines_of(blocks)
    return sum(drawn)


@pytest.mark.parametrize(
    ("head", "lead"), [("1. Do:\n\n   ```py\n", "   "), ("> ```py\n", "> "), ("- a\n\n", " " * 6)]
)
def test_code_in_a_list_that_streams_in_is_drawn_once(
    monkeypatch: pytest.MonkeyPatch, head: str, lead: str
) -> None:
    blocks = Blocks()
    pieces = [head, *(f"{lead}x = {number}\n" for number in range(200))]
    assert drawn_while(monkeypatch, blocks, pieces) < 2 * len("".join(pieces))
    before = lines_of(blocks)
    blocks.close()
    assert before == lines_of(blocks)


def test_code_whose_lines_begin_with_its_marks_is_read_and_drawn_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    whole = under_test._blocks

    def noted(source: str) -> list[under_test.Block]:
        read.append(source)
        return whole(source)

    blocks = Blocks()
    blocks.append("```js\n")
    assert lines_of(blocks)
    monkeypatch.setattr(under_test, "_blocks", noted)
    pieces = [part for number in range(100) for part in ("``", "`", f"x{number}`\n", "~~~\n")]
    assert drawn_while(monkeypatch, blocks, pieces) < 3 * len("".join(pieces))
    assert not read
    blocks.append("```")
    assert blocks.tail[0].code == "".join(pieces)  # it may be its end, which is no code
    blocks.append("\n")
    assert blocks.tail[0].code == "".join(pieces) and read


@pytest.mark.parametrize("begin", ["\n", "\n\n", "[a]: https://example.org/\n\n", "  \n"])
def test_a_fence_behind_an_empty_line_or_a_definition_ends_where_it_ends(begin: str) -> None:
    source = f"{begin}```py\nx = 1\n```\nProse goes\non.\n"
    for size in (1, 4, len(begin), len(begin) + len("```py\nx = 1\n```\n")):
        blocks = Blocks()
        for place in range(0, len(source), size):
            blocks.append(source[place : place + size])
            assert blocks.all or not source[: place + size].strip() or "[" in begin
        assert [block.code for block in blocks.all] == ["x = 1\n", None]
        assert [text_of(line).strip() for line in lines_of(blocks)] == [
            "py", "x = 1", "", "Prose goes on.",
        ]  # fmt: skip


def test_the_language_of_a_fence_that_comes_in_pieces_is_no_code() -> None:
    blocks = Blocks()
    for piece in ("```", "py", "thon\nx", " = 1\n"):
        blocks.append(piece)
        assert not blocks.tail or "thon" not in (blocks.tail[0].code or "")
    assert (blocks.tail[0].language, blocks.tail[0].code) == ("python", "x = 1\n")


@pytest.mark.parametrize("mark", ["- ", "> ", "1. ", "- > ", "* 2. "])
@pytest.mark.parametrize("count", [10, 20, 60, 200])
def test_deep_text_is_never_lost_nor_cut_off(mark: str, count: int) -> None:
    for width in (20, 60):
        lines = texts(f"{mark * count}SECRET\n\n# Behind it\n", width)
        assert "SECRET" in "".join(lines).replace(" ", "")
        assert lines[-1].strip() == "Behind it"
        assert all(cell_len(line) <= width for line in lines)


def test_code_deep_in_a_list_is_not_cut_off() -> None:
    blocks = Blocks("- " * 12 + "```py\n" + " " * 24 + "x = 1\n")
    for width in (10, 11, 20):
        lines = [text_of(line) for line in lines_of(blocks, width)]
        assert all(cell_len(line) <= width for line in lines) and "x = 1" in "".join(lines)


def test_a_long_text_is_drawn_as_it_stands_from_some_line_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(under_test, "MAX_SOURCE", 30)
    source = "A **bold** word.\n\n" * 4
    assert [line for line in texts(source) if line] == [
        "A bold word.", "A **bold** word.", "A **bold** word.", "A **bold** word.",
    ]  # fmt: skip
    assert "".join(texts("x" * 99)) == "x" * 99


def test_the_language_of_a_fence_is_cut_to_the_screen() -> None:
    for source in ("```" + "long" * 30 + "\nx\n```", "- ```" + "long" * 30 + "\n  x\n  ```"):
        assert all(cell_len(line) <= 40 for line in texts(source))
        assert "…" in texts(source)[0]

"""Tables that stream in: exact at each step, and no dearer than what is new of them."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len

from aiplat.tui.markdown import blocks as under_test
from aiplat.tui.markdown.blocks import Blocks
from aiplat.tui.markdown.lines import Line, text_of
from aiplat.tui.markdown.render import render

ROWS = 40
TABLE = "| Name | What it is | Cost |\n|---|:-:|--:|\n" + "".join(
    f"| row {n} | some **words** and `code {n % 7}` | {n * 37} |\n" for n in range(ROWS)
)
SOURCE = f"Before it.\n\n{TABLE}\nBehind it.\n\na | b\n--|--\n1 | 2\n3\n\n- item\n\n{TABLE}"


def lines_of(blocks: Blocks, width: int = 50) -> list[Line]:
    lines: list[Line] = []
    for block in blocks.all:
        if lines and not block.close_up:
            lines.append(())
        lines += render(block, width)
    return lines


@pytest.mark.parametrize("seed", range(6))
def test_a_table_streamed_in_any_pieces_is_as_the_whole_at_each_line(seed: int) -> None:
    chance, blocks, place = random.Random(seed), Blocks(), 0
    while place < len(SOURCE):
        step = chance.randint(1, (3, 30, 300)[seed % 3])
        blocks.append(SOURCE[place : place + step])
        place += step
        if SOURCE[:place].endswith("|\n") or chance.random() < 0.1:
            so_far = SOURCE[:place].rpartition("\n")[2]
            if so_far in ("", "|"):
                assert lines_of(blocks) == lines_of(Blocks(SOURCE[:place]))
    assert lines_of(blocks) == lines_of(Blocks(SOURCE))
    blocks.close()
    assert lines_of(blocks) == lines_of(Blocks(SOURCE))


def test_rows_that_have_ended_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = under_test._blocks

    def counted(source: str) -> list[under_test.Block]:
        read.append(len(source))
        return whole(source)

    monkeypatch.setattr(under_test, "_blocks", counted)
    blocks = Blocks()
    for row in TABLE.splitlines(keepends=True):
        blocks.append(row)
        lines_of(blocks)
    assert max(read) < 200 < len(TABLE)


def test_what_is_not_asked_for_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noted(source: str) -> list[under_test.Block]:
        read.append(source)
        return []

    monkeypatch.setattr(under_test, "_blocks", noted)
    blocks = Blocks()
    for _ in range(100):
        blocks.append("word ")
    assert not read
    assert blocks.all == [] and read == ["word " * 100]


def test_a_table_is_drawn_anew_for_another_width() -> None:
    blocks = Blocks()
    blocks.append(TABLE)
    for width in (80, 24, 50):
        assert lines_of(blocks, width) == lines_of(Blocks(TABLE), width)
    assert "row 0" in text_of(lines_of(blocks)[2])


WIDE = "".join(
    "| " + " | ".join(f"{lead}{number}" for number in range(12)) + " |\n" + rule
    for lead, rule in (("name ", "|---" * 12 + "|\n"), ("**value** ", ""), ("other ", ""))
)


def test_a_table_too_wide_for_its_columns_is_a_record_a_row() -> None:
    lines = [text_of(line) for line in lines_of(Blocks(WIDE), 57)]
    assert lines == [
        *(f"name {number}: value {number}" for number in range(12)), "",
        *(f"name {number}: other {number}" for number in range(12)),
    ]  # fmt: skip
    assert "│" in text_of(lines_of(Blocks(WIDE), 200)[0])


def test_nothing_of_such_a_table_is_cut_off_in_a_list_or_without_rows() -> None:
    for source in (WIDE, WIDE.replace("other 3", "other " * 30), "\n".join(WIDE.split("\n")[:2])):
        inner = "- a\n\n" + "".join(f"  {line}\n" for line in source.splitlines())
        for text in (source, inner):
            lines = [text_of(line) for line in lines_of(Blocks(text), 30)]
            assert all(cell_len(line) <= 30 for line in lines)
            assert all(f"name {number}" in "\n".join(lines) for number in range(12))


def test_such_a_table_that_streams_in_is_as_the_whole_at_each_line() -> None:
    blocks, place = Blocks(), 0
    for line in WIDE.splitlines(keepends=True):
        blocks.append(line)
        place += len(line)
        assert lines_of(blocks, 57) == lines_of(Blocks(WIDE[:place]), 57)
    blocks.append(WIDE.splitlines(keepends=True)[-1])
    assert len(lines_of(blocks, 57)) == 3 * 12 + 2

"""Tables: which columns there is room for, and that a cell is text in one line."""

from __future__ import annotations

import sys

import pytest
from rich.cells import cell_len

from aiplat.cli import output, tables
from aiplat.cli.tables import Column

Row = tuple[str, str, str]

COLUMNS: tuple[Column[Row], ...] = (
    Column("name", 0, lambda row: row[0]),
    Column("says", 2, lambda row: row[1], breaks=True),
    Column("count", 1, lambda row: row[2], right=True),
)
ROWS: tuple[Row, ...] = (("ann", "one, two, three", "7"), ("bob", "", "1200"))


def test_numbers_stand_at_the_right_and_texts_at_the_left() -> None:
    assert tables.lines(COLUMNS, ROWS, 0) == [
        "name  says             count",
        "────────────────────────────",
        "ann   one, two, three      7",
        "bob                     1200",
    ]


def test_what_rows_come_to_stands_below_a_line() -> None:
    drawn = tables.lines(COLUMNS, ROWS, 0, total=("total", "", "100207"))
    assert drawn[-1] == "total                   100207"
    assert drawn[-2] == drawn[1] == "─" * 30


def test_a_column_is_left_out_at_the_first_column_too_few() -> None:
    for room, names in ((19, "name says count"), (18, "name count"), (11, "name count"),
                        (10, "name"), (1, "name"), (0, "name says count")):  # fmt: skip
        shown = tables.fitting(COLUMNS, ROWS, room)
        assert [column.name for column in shown] == names.split(), room
        drawn = tables.lines(COLUMNS, ROWS, room)
        assert not room or max(map(len, drawn)) <= room
        assert tables.hidden(COLUMNS, ROWS, room) == {
            "name count": "(A wider terminal shows says too; --json has all.)",
            "name": "(A wider terminal shows says, count too; --json has all.)",
        }.get(names, "")


def test_a_cell_is_broken_behind_a_comma_where_room_is_scarce_and_never_in_a_pipe() -> None:
    drawn = tables.lines(COLUMNS, ROWS, 20)
    assert [line[6:12].strip() for line in drawn[2:5]] == ["one,", "two,", "three"]
    wordy = (("x", ", ".join(["word"] * 40), "1"),)
    assert len(tables.lines(COLUMNS, wordy, 0)) == 3


HOSTILE = ("[red]a\x1b[2J\nb", "[/]", "\u202e7")


@pytest.mark.parametrize("room", [0, 40])
def test_a_cell_is_text_in_one_line(room: int) -> None:
    drawn = tables.lines(COLUMNS, (HOSTILE,), room, total=HOSTILE)
    assert len(drawn) == 5
    assert all(line.isprintable() for line in drawn)
    for line in (drawn[2], drawn[4]):
        assert line.startswith("[red]a·[2J·b  [/]")


def test_wide_characters_take_two_columns() -> None:
    drawn = tables.lines(COLUMNS, (("模型", "x", "1"), ("ab", "y", "2")), 0)
    assert {
        cell_len(line[: line.index(mark)]) for line, mark in ((drawn[2], "x"), (drawn[3], "y"))
    } == {6}


def test_a_table_is_shown_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tables.show(COLUMNS, ROWS)
    said = capsys.readouterr()
    assert said.out.splitlines() == tables.lines(COLUMNS, ROWS, 0)
    assert said.err == ""
    monkeypatch.setattr(output, "width", lambda stream: 12 if stream is sys.stdout else 0)
    tables.show(COLUMNS, ROWS)
    said = capsys.readouterr()
    assert said.out.splitlines() == tables.lines(COLUMNS, ROWS, 12)
    assert said.err == "(A wider terminal shows says too; --json has all.)\n"

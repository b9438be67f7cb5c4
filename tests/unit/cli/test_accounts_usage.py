"""``aiplat usage``: its table adds up, its bars are to scale, its CSV is safe to open."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aiplat.cli import main, output
from aiplat.cli.usage import ByName
from aiplat.cli.usage_chart import MOST_BARS, MOST_DAYS, Bar, chart, draw
from aiplat.cli.usage_csv import csv_text
from aiplat.cli.usage_table import table
from aiplat.control.accounts import UsageAsk, UsageBy, UsageReply, UsageRow
from tests.support.accounts_desk import Desk, desk_at

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

DAY = 86_400
FIRST = 1_795_046_400
"""2026-11-19 00:00 UTC."""


def row(name: str, total: int, requests: int = 1) -> UsageRow:
    return UsageRow(
        name=name, requests=requests, errors=0, prompt_tokens=total - total // 3,
        cached_tokens=total // 9, completion_tokens=total // 3, total_tokens=total,
    )  # fmt: skip


def reply(*rows: UsageRow, by: UsageBy = "day", days: int = 7, **fields: Any) -> UsageReply:
    figures = {
        name: sum(getattr(one, name) for one in rows)
        for name in UsageRow.__struct_fields__
        if name not in ("name", "id")
    }
    found = UsageReply(
        rows=rows, total=UsageRow(name="total", **figures), by=by, since=FIRST,
        until=FIRST + (days - 1) * DAY + 3600,
    )  # fmt: skip
    return replace(found, **fields)


WEEK = reply(row("2026-11-20", 12_000, 31), row("2026-11-23", 24_000), row("2026-11-25", 7))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("AIPLAT_HOME", str(tmp_path / "h"))


@pytest.fixture
def desk(monkeypatch: Patch) -> Desk:
    return desk_at(monkeypatch, Desk({"usage": [WEEK]}))


# -- what is asked -------------------------------------------------------------------------------


def test_the_choices_are_those_that_there_are() -> None:
    assert tuple(ByName) == get_args(UsageBy)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], UsageAsk()),
        (["--since", "30d", "--by", "model"], UsageAsk(since_seconds=30 * DAY, by="model")),
        (["--since", "12h", "--by", "peer"], UsageAsk(since_seconds=43_200, by="peer")),
        (["--user", "bob", "--by", "key"], UsageAsk(user="bob", by="key")),
        (["--everyone"], UsageAsk(everyone=True)),
    ],
)
def test_what_is_asked(words: list[str], asked: UsageAsk, desk: Desk) -> None:
    for form in ([], ["--json"], ["--csv"]):
        assert main.run(["usage", *words, *form]) == 0
        assert desk.wish() == asked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--csv", "--json"], "leave one of the two out"),
        (["--by", "hour"], "'hour' is not one of 'model', 'key', 'day', 'peer'"),
        (["--since", "week"], "--since: 'week' is no span of time"),
        (["--user", "a", "--everyone"], "leave one of the two out"),
    ],
)
def test_wrong_use_says_so(words: list[str], said: str, desk: Desk, capsys: Capture) -> None:
    assert main.run(["usage", *words]) == 2
    assert said in capsys.readouterr().err
    assert desk.asked == []


# -- for programs --------------------------------------------------------------------------------


def test_json_has_rows_and_their_total(desk: Desk, capsys: Capture) -> None:
    assert main.run(["usage", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["total_tokens"] for one in told["rows"]] == [12_000, 24_000, 7]
    for one in (*told["rows"], told["total"]):
        assert one["prompt_tokens"] + one["completion_tokens"] == one["total_tokens"]
    assert told["total"]["total_tokens"] == 36_007
    assert (told["by"], told["since"], told["left_out"]) == ("day", FIRST, 0)


def test_csv_is_that_of_rfc_4180(desk: Desk, capsys: Capture) -> None:
    assert main.run(["usage", "--csv"]) == 0
    said = capsys.readouterr()
    assert said.out == (
        "name,requests,errors,prompt_tokens,cached_tokens,completion_tokens,total_tokens\r\n"
        "2026-11-20,31,0,8000,1333,4000,12000\r\n"
        "2026-11-23,1,0,16000,2666,8000,24000\r\n"
        "2026-11-25,1,0,5,0,2,7\r\n"
    )
    assert said.err == ""
    desk.put("usage", replace(WEEK, left_out=3))
    assert main.run(["usage", "--csv"]) == 0
    assert capsys.readouterr().err == "(3 more rows are left out; the total has all.)\n"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("=HYPERLINK(1)", "'=HYPERLINK(1)"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"),
     ("＝x", "'＝x"), ("a=b", "a=b"), ('a,"b"', 'a,"b"'), ("\t=x", "·=x"), ("\r\n=x", "··=x"),
     ("\x1b[2J", "·[2J"), ("", ""), ("ü", "ü")],
)  # fmt: skip
def test_a_name_is_no_formula_and_no_second_cell(name: str, shown: str) -> None:
    text = csv_text(reply(row(name, 3), by="key"))
    head, line = csv.reader(io.StringIO(text, newline=""))
    assert line[0] == shown
    assert len(line) == len(head)


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_names_come_back_as_cells_that_are_no_formula(names: list[str]) -> None:
    text = csv_text(reply(*(row(name, 5) for name in names), by="model"))
    lines = list(csv.reader(io.StringIO(text, newline="")))
    assert len(lines) == len(names) + 1
    assert text.count("\r\n") == len(names) + 1
    for name, line in zip(names, lines[1:], strict=True):
        assert line[0].removeprefix("'") == output.flat(name).removeprefix("'")
        assert not line[0].startswith(("=", "+", "-", "@"))


# -- for people ----------------------------------------------------------------------------------


def test_a_table_and_a_chart_of_a_week(desk: Desk, capsys: Capture) -> None:
    assert main.run(["usage"]) == 0
    said = capsys.readouterr()
    assert said.err == "Usage from 2026-11-19 00:00 UTC to 2026-11-25 01:00 UTC:\n"
    bar = 80 - len("2026-11-19") - len("24k") - 4
    assert said.out.splitlines() == [
        "day         requests  errors  prompt  cached  answer  tokens",
        "────────────────────────────────────────────────────────────",
        "2026-11-20        31       0    8000    1333    4000   12000",
        "2026-11-23         1       0   16000    2666    8000   24000",
        "2026-11-25         1       0       5       0       2       7",
        "────────────────────────────────────────────────────────────",
        "total             33       0   24005    3999   12002   36007",
        "",
        "tokens a day, the longest bar is 24k",
        f"2026-11-19  {' ' * bar}    0",
        f"2026-11-20  {'█' * 31 + '▌':<{bar}}  12k",
        f"2026-11-21  {' ' * bar}    0",
        f"2026-11-22  {' ' * bar}    0",
        f"2026-11-23  {'█' * bar}  24k",
        f"2026-11-24  {' ' * bar}    0",
        f"2026-11-25  {'▏':<{bar}}    7",
    ]


def test_where_nothing_was_asked_that_is_said(desk: Desk, capsys: Capture) -> None:
    desk.put("usage", reply())
    assert main.run(["usage"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Nothing was asked from 2026-11-19 00:00 UTC to ")
    desk.put("usage", reply(row("2026-11-20", 0)))  # refused before it took a token
    assert main.run(["usage"]) == 0
    assert "longest bar" not in capsys.readouterr().out


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_it_fits_the_terminal_and_uses_its_width(
    columns: int, desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(output, "width", lambda stream: columns if stream is sys.stdout else 0)
    big = reply(*(row(f"2026-11-{day}", 10**11 + day, 10**7) for day in range(19, 26)))
    desk.put("usage", big)
    assert main.run(["usage"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= columns
    assert max(len(line) for line in lines if "█" in line) == columns
    assert str(big.total.total_tokens) in said.out
    assert ("A wider terminal shows" in said.err) is (columns < 100)


def test_where_there_are_no_blocks_it_is_ascii(desk: Desk, monkeypatch: Patch) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", newline="")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main.run(["usage"]) == 0
    stdout.seek(0)
    text = stdout.read()
    assert "?" not in text
    assert "-" * 60 in text
    assert f"{'#' * 32:<63}  12k" in text
    assert "2026-11-25  ." in text


HOSTILE = reply(
    row("[red]\x1b[2J" + "n" * 500, 5), row("模型" * 40, 10**18), row("", -7), row("a\nb", 0),
    by="model",
)  # fmt: skip


@pytest.mark.parametrize("columns", [0, 60, 100])
def test_names_of_others_are_text_of_bounded_width(columns: int) -> None:
    from rich.cells import cell_len

    drawn = [*table(HOSTILE, columns), *chart(HOSTILE, columns)]
    assert all(line.isprintable() for line in drawn)
    assert max(map(cell_len, drawn)) <= (columns or 200)
    assert any("[red]" in line for line in drawn)


def test_only_so_many_models_have_a_bar() -> None:
    rows = [row(f"m{place}", 1000 - place) for place in range(MOST_BARS + 12)]
    drawn = chart(reply(*rows, by="model"), 80)
    assert drawn[0] == "tokens by model, the longest bar is 1k"
    assert len(drawn) == MOST_BARS + 2
    assert drawn[-1] == "… and 12 more"


@pytest.mark.parametrize("days", [1, MOST_DAYS, MOST_DAYS + 1, 366])
def test_every_day_has_a_bar_and_beyond_two_months_every_week(days: int) -> None:
    found = reply(row("2026-11-19", 70), days=days)
    drawn = chart(found, 80)
    weekly = days > MOST_DAYS
    assert len(drawn) - 1 == (-(-days // 7) if weekly else days)
    assert drawn[0].startswith("tokens in seven days" if weekly else "tokens a day")
    assert drawn[1].startswith("2026-11-19  █")
    assert drawn[1].endswith("70")


def test_a_week_is_the_sum_of_its_days() -> None:
    rows = [row(f"2026-11-{day}", 100) for day in range(19, 31)]
    drawn = chart(reply(*rows, days=100), 80)
    assert drawn[1].split()[0::2] == ["2026-11-19", "700"]
    assert drawn[2].split()[0::2] == ["2026-11-26", "500"]
    assert drawn[3].split() == ["2026-12-03", "0"]


@pytest.mark.parametrize(
    "found",
    [
        reply(row("yesterday", 5)),
        reply(row("2026-11-20", 5), since=2**62),
        reply(row("2026-11-20", 5), since=-(2**62)),
        reply(row("2026-11-20", 5), until=0),
        reply(row("2026-11-20", 5), since=0),
        reply(row("1999-01-01", 5)),
    ],
)
def test_days_that_are_none_are_drawn_as_they_are(found: UsageReply) -> None:
    drawn = chart(found, 80)
    assert len(drawn) == 2
    assert drawn[1].startswith(found.rows[0].name)


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=30), st.integers(30, 200))
def test_bars_are_to_scale(tokens: list[int], room: int) -> None:
    longest = max(tokens) or 1
    drawn = draw([Bar(f"d{place}", one) for place, one in enumerate(tokens)], longest, room)
    lengths = [eighths(line) for line in drawn]
    full = room - max(len(f"d{place}") for place in range(len(tokens))) - 4
    assert all(len(line) <= room for line in drawn)
    for one, length in zip(tokens, lengths, strict=True):
        assert (length > 0) is (one > 0)
        assert length <= full * 8
    for one, length in zip(tokens, lengths, strict=True):
        if max(tokens):
            expected = one / longest * max(lengths)
            assert abs(length - expected) <= 1 + expected * 1e-9


def eighths(line: str) -> int:
    sizes = {block: size for size, block in enumerate(" ▏▎▍▌▋▊▉█")}
    return sum(sizes.get(character, 0) for character in line)

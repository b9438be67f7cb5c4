"""The parts of the pane Usage that need no screen: marks, dots, bars, lines, pages, files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aiplat.control.accounts import UsageReply, UsageRow
from aiplat.control.series import MachineRow, SeriesAsk, SeriesReply, SeriesRow, Spread
from aiplat.domain.accounts import Limits, RateState
from aiplat.domain.errors import ConfigError, InvalidRequest
from aiplat.tui.preferences import Graphs
from aiplat.tui.usage import export
from aiplat.tui.usage.bars import (
    REQUESTS,
    TOKENS,
    Limit,
    bar,
    limits_of,
    month_words,
    next_month,
    sign_of,
    used_words,
)
from aiplat.tui.usage.board import limit_lines
from aiplat.tui.usage.figures import MAX_POINTS, figures_of, span_words, totals_of
from aiplat.tui.usage.firsts import firsts_ask, firsts_of
from aiplat.tui.usage.pages import BOARD, pages_for
from aiplat.tui.usage.plot import ASCII, BLOCKS, BRAILLE, NOBODY, Pen, columns, draw, pen_for
from aiplat.tui.usage.ranges import RANGES
from aiplat.tui.usage.sums import of_accounts, of_series
from aiplat.tui.usage.ticks import clock_label, clock_ticks, nice_ticks, place_labels
from aiplat.tui.usage.words import name_of
from tests.support.screens import NOW
from tests.tui.usage_data import keys, series, who

GIB = 1024.0**3


def utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


# -- marks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "intervals", "expected"),
    [
        (86.8, 2, [0, 50, 100]),
        (1.2, 3, [0, 0.5, 1.0, 1.5]),
        (0, 3, [0, 0.5, 1.0]),
        (5, 1, [0, 5]),
        (5.01, 1, [0, 10]),
        (7_300_000, 4, [0, 2e6, 4e6, 6e6, 8e6]),
        (0.0031, 4, [0, 0.001, 0.002, 0.003, 0.004]),
    ],
)
def test_marks_are_one_two_or_five(most: float, intervals: int, expected: list[float]) -> None:
    assert nice_ticks(most, intervals) == pytest.approx(expected)


def test_marks_of_bytes_are_powers_of_two_and_those_of_things_are_whole() -> None:
    assert nice_ticks(2.2 * GIB, 3, binary=True) == [0, GIB, 2 * GIB, 3 * GIB]
    assert nice_ticks(2, 4, whole=True) == [0, 1, 2]
    for wrong in (float("nan"), float("inf"), -1.0):
        assert nice_ticks(wrong, 2) == [0, 0.5, 1.0]


def test_times_are_round_on_the_wall() -> None:
    step, found = clock_ticks(NOW - 900, NOW, 5, utc)
    assert step == 300
    assert [clock_label(at, step, utc) for at in found] == ["14:20", "14:25", "14:30"]
    step, found = clock_ticks(NOW - 60, NOW, 4, utc)
    assert [clock_label(at, step, utc) for at in found][:2] == ["14:29:15", "14:29:30"]
    india = timezone(timedelta(hours=5, minutes=30))
    step, found = clock_ticks(NOW - 86_400, NOW, 4, lambda at: datetime.fromtimestamp(at, india))
    assert step == 6 * 3600
    assert [datetime.fromtimestamp(at, india).minute for at in found] == [0] * 4


def test_days_begin_at_midnight_also_where_the_clock_is_changed() -> None:
    berlin = ZoneInfo("Europe/Berlin")

    def wall(at: float) -> datetime:
        return datetime.fromtimestamp(at, berlin)

    end = datetime(2026, 10, 28, 12, tzinfo=berlin).timestamp()
    step, found = clock_ticks(end - 6 * 86_400, end, 7, wall)  # the 25th has 25 hours
    assert step == 86_400
    assert [f"{wall(at):%d %H:%M}" for at in found] == [
        "23 00:00", "24 00:00", "25 00:00", "26 00:00", "27 00:00", "28 00:00",
    ]  # fmt: skip
    assert clock_label(found[0], step, wall) == "23 Oct"


def test_labels_do_not_touch_and_stay_within() -> None:
    line = place_labels([(0, "14:20"), (6, "14:21"), (10, "14:22"), (29, "14:30")], 30)
    assert line == "14:20   14:22            14:30"
    assert len(line) == 30


# -- dots ----------------------------------------------------------------------------------------


def test_points_are_spread_over_columns_with_gaps_and_the_greatest_wins() -> None:
    points = [(0.0, 1.0), (10.0, None), (20.0, 3.0), (30.0, 2.0)]
    assert columns(points, 10, 0, 40, 8) == [1, 1, None, None, 3, 3, 2, 2]
    assert columns(points, 10, 0, 40, 2) == [1, 3]
    assert columns([(-5.0, 7.0), (38.0, 4.0)], 15, 0, 40, 4) == [7, None, None, 4]


@pytest.mark.parametrize(
    ("pen", "values", "rows"),
    [
        (BRAILLE, [0, 1, 2, 3, 4, 5, 6, 7], ["  ⣠⣾", "⣠⣾⣿⣿"]),
        (BRAILLE, [None, None, 0, 0, None, 3, None, None], ["    ", " ⣀⢸ "]),
        (BLOCKS, [0, 1, 2, 3], ["  ▄█", "▄███"]),
        (ASCII, [0, 7, None, 7], [" # #", "## #"]),
    ],
)
def test_a_filled_curve(pen: Pen, values: list[float | None], rows: list[str]) -> None:
    width = len(values) // pen.wide
    scale = 7 if pen is not BLOCKS else 3
    drawn, owners = draw([values], width, 2, scale, pen, fill=True)
    assert [row.replace("⠀", " ") for row in drawn] == rows
    assert all((o == NOBODY) == (c == " ") for r, own in zip(rows, owners, strict=True)
               for c, o in zip(r, own, strict=True))  # fmt: skip


def test_curves_are_told_apart_without_colour() -> None:
    flat = [[1.0] * 12, [3.0] * 12]
    [above, below], owners = draw(flat, 12, 2, 3, ASCII, fill=False)
    assert below == "*" * 12 and above == "++  ++  ++  "
    assert owners[0][0] == 1 and owners[1][0] == 0
    rows, _ = draw([[0.0, 7.0, 0.0, 7.0]] * 2, 2, 2, 7, BRAILLE, fill=False)
    assert all(cell != "⠀" for row in rows for cell in row), "what rises is drawn whole"


def test_what_is_beyond_the_scale_stays_within_and_little_is_seen() -> None:
    rows, _ = draw([[100.0, 0.001]], 2, 3, 10, ASCII, fill=True)
    assert rows == ["# ", "##", "##"]


@pytest.mark.parametrize(
    ("wanted", "encoding", "terminal", "pen"),
    [
        ("auto", "utf-8", "xterm-256color", BRAILLE),
        ("auto", "UTF8", "linux", BLOCKS),
        ("auto", "latin-1", "xterm", ASCII),
        ("ascii", "utf-8", "xterm", ASCII),
        ("braille", "ascii", "linux", BRAILLE),
    ],
)
def test_the_pen_is_the_terminals_or_the_persons(
    wanted: Graphs, encoding: str, terminal: str, pen: Pen
) -> None:
    assert pen_for(wanted, encoding, terminal) is pen


# -- limits --------------------------------------------------------------------------------------


def test_limits_are_the_accounts_and_the_keys_with_when_they_are_free_again() -> None:
    found = limits_of(who(), keys().keys, NOW)
    assert [(one.owner, one.what, one.used, one.most) for one in found] == [
        ("account", "requests a minute", 51, 60),
        ("account", "tokens a minute", 19_000, 50_000),
        ("account", "tokens a month", 412_345, 1_000_000),
        ("key laptop", "tokens a month", 100_000, 100_000),
    ]
    assert found[0].resets == "all free in 42 s"
    assert found[3].resets == "resets in 4 d 9 h (1 Dec UTC)"
    assert [sign_of(one.share)[0] for one in found] == ["▲", "●", "●", "✕"]
    nothing = RateState()
    plain = who(local=True).__replace__(rate=nothing)
    assert [one.what for one in limits_of(plain, (), NOW)] == ["tokens a month"]


ALL = Limits(requests_per_minute=60, tokens_per_minute=50_000, concurrent=8)
LINES = [
    ("requests a minute", None, 60, "anew each minute"),
    ("tokens a minute", None, 50_000, "anew each minute"),
    ("requests at once", None, 8, "free as each ends"),
]


def told(found: list[Limit], owner: str) -> list[tuple[str, float | None, float, str]]:
    return [(one.what, one.used, one.most, one.resets) for one in found if one.owner == owner]


def test_a_limit_of_which_only_the_most_is_told_is_there_without_a_bar() -> None:
    me = who()
    me = me.__replace__(user=me.user.__replace__(limits=ALL), rate=RateState())
    key = keys().keys[0].__replace__(limits=ALL)
    found = limits_of(me, [key], NOW)
    assert told(found, "account") == told(found, "key laptop") == LINES
    assert [sign_of(one.share)[0] for one in found] == ["○"] * 6
    assert found[1].share is None and used_words(found[1]) == "up to 50.0k"
    lines = limit_lines(found[0], 34, BRAILLE).plain
    assert lines == "○ account: requests a minute\nup to 60, anew each minute"


def test_a_limit_that_a_bar_tells_is_not_told_again() -> None:
    me = who()
    key = keys().keys[0].__replace__(limits=ALL)
    me = me.__replace__(user=me.user.__replace__(limits=ALL))
    found = limits_of(me, [key], NOW)
    assert [one[:2] for one in told(found, "account")] == [
        ("requests a minute", 51), ("tokens a minute", 19_000), ("requests at once", None),
    ]  # fmt: skip
    assert told(found, "key laptop") == LINES, "the bars are of the account alone"
    user = me.user.__replace__(limits=ALL.__replace__(requests_per_minute=600))
    found = limits_of(me.__replace__(user=user, by="key", key=key), [key], NOW)
    assert [one[0] for one in told(found, "account or key")] == [REQUESTS, TOKENS]
    assert told(found, "account")[0] == (REQUESTS, None, 600, "anew each minute")
    assert told(found, "key laptop") == LINES[2:]


def test_a_month_ends_with_the_year_too() -> None:
    new_year = datetime(2026, 12, 31, 23, 59, tzinfo=UTC).timestamp()
    assert next_month(new_year) == datetime(2027, 1, 1, tzinfo=UTC)
    assert month_words(new_year) == "resets in 1 m (1 Jan UTC)"


def test_a_bar_says_neither_none_nor_all_when_it_is_not() -> None:
    assert bar(0, 10, ASCII) == ("", "-" * 10)
    assert bar(0.001, 10, ASCII) == ("#", "-" * 9)
    assert bar(0.999, 10, ASCII) == ("#" * 9, "-")
    assert bar(1, 10, ASCII) == ("#" * 10, "")
    assert Limit("a", "b", 5, 0).share == 1


# -- figures -------------------------------------------------------------------------------------


def reply(step: int, rows: list[SeriesRow], machine: list[MachineRow] | None = None) -> SeriesReply:
    return SeriesReply(since=0, until=1000, step=step, rows=tuple(rows),
                       machine=tuple(machine or ()), total=SeriesRow(at=0))  # fmt: skip


def row(at: int, name: str = "", requests: int = 1, tokens: int = 60, errors: int = 0) -> SeriesRow:
    return SeriesRow(at=at, name=name, requests=requests, completion_tokens=tokens, errors=errors,
                     first=Spread(mean=1, p50=0.5, p95=2, p99=3))  # fmt: skip


def test_a_minute_that_is_not_over_is_a_rate_of_what_is() -> None:
    rows = [row(0), row(120, tokens=40)]
    tokens, requests, first, *more = figures_of(reply(60, rows), since=0, now=140)
    assert list(tokens.lines[0].points) == [(0, 1.0), (60, 0.0), (120, 2.0)]
    assert requests.title == "Requests a minute"
    assert list(requests.lines[0].points) == [(0, 1.0), (60, 0.0), (120, 3.0)]
    assert [line.points for line in first.lines] == [((0, 0.5), (120, 0.5)), ((0, 2), (120, 2))]
    assert all(figure.is_empty for figure in more)
    assert [figure.empty for figure in more] == ["No errors."] + ["No engine ran here."] * 2
    soon = figures_of(reply(60, rows), since=0, now=130)[0]
    assert soon.lines[0].points[-1] == (120, None), "ten seconds say too little"


def test_by_the_second_there_is_a_gap_before_the_node_and_looks_last_until_the_next() -> None:
    looks = [MachineRow(at=12, part="engine", name="m", busy=1.5, memory_bytes=7)]
    told = reply(1, [row(11, tokens=5)], looks)
    found = figures_of(told, since=8, now=40.7, begun=10)
    assert found[0].lines[0].points[:4] == ((8, None), (9, None), (10, 0.0), (11, 5.0))
    assert found[0].until == 40, "the second that is not over is left out"
    assert found[1].title == "Requests a second"
    busy = dict(found[4].lines[0].points)
    assert [busy[at] for at in (11, 12, 32, 33)] == [None, 150, 150, None]


def test_three_names_have_lines_and_the_others_one_together() -> None:
    rows = [row(0, name, requests=n, tokens=60 * n) for n, name in enumerate("abcde", 1)]
    tokens, _, first, *_ = figures_of(reply(60, rows), since=0, now=60, by="key", name=str.upper)
    assert [(line.name, line.last) for line in tokens.lines] == [
        ("E", 5), ("D", 4), ("C", 3), ("2 others", 3),
    ]  # fmt: skip
    assert [line.name for line in first.lines] == ["E", "D", "C"], "halves cannot be added"
    beside = [line.beside for line in first.lines]
    assert [(line.name, line.last) for line in beside if line] == [("p95", 2)] * 3
    assert first.most == 0.5, "what is not drawn makes it no higher"


def test_engines_are_added_up_and_gpus_share() -> None:
    looks = [
        MachineRow(at=0, part="engine", name="a", busy=1.0, memory_bytes=10),
        MachineRow(at=0, part="engine", name="b", busy=0.5, memory_bytes=20),
        MachineRow(at=0, part="gpu", name="0", busy=0.2, memory_bytes=100),
        MachineRow(at=0, part="gpu", name="1", busy=None, memory_bytes=100),
    ]
    *_, busy, memory = figures_of(reply(60, [], looks), since=0, now=60)
    assert [(line.name, line.last) for line in busy.lines] == [("CPU", 150), ("GPU", 20)]
    assert [(line.name, line.last) for line in memory.lines] == [("RAM", 30), ("GPU", 200)]
    *_, busy, memory = figures_of(reply(60, [], looks), since=0, now=60, by="model")
    assert [line.name for line in busy.lines] == ["CPU a", "CPU b", "GPU"]


def test_nothing_says_what_to_do() -> None:
    tokens = figures_of(reply(60, []), since=0, now=60, words="15 minutes")[0]
    assert tokens.is_empty and tokens.empty == "Nothing was asked in the last 15 minutes."
    assert "Ask something in Chat" in tokens.advice


def test_what_is_too_new_for_a_point_is_not_nothing() -> None:
    asked = reply(7200, [row(7200, requests=14)])
    tokens, requests, *_ = figures_of(asked, since=0, now=7300, words="30 days")
    for figure in (tokens, requests):
        assert figure.empty == "Asked less than 2 hours ago: a shorter time shows it."
        assert figure.is_empty and not figure.advice
    refused = reply(60, [row(0, tokens=0)])
    assert figures_of(refused, since=0, now=60)[0].empty == "No tokens came."


def test_lengths_and_totals_are_in_words() -> None:
    assert [span_words(n) for n in (1, 60, 300, 3600, 7200, 86_400)] == [
        "a second", "a minute", "5 minutes", "an hour", "2 hours", "a day",
    ]  # fmt: skip
    told = dict(totals_of(series(SeriesAsk(since=int(NOW) - 900, step=60))))
    assert told["Requests"] == "39" and told["Errors"] == "1 (2.6 %)"
    assert told["First token p95"] == "630 ms"


def test_names_are_a_persons() -> None:
    assert name_of("key", "k1", {"k1": "laptop"}, "me") == "laptop"
    assert name_of("key", "", {}, "me") == "no key"
    assert name_of("peer", "me", {}, "me") == "this node"
    assert name_of("peer", "12D3KooWabcdefgh", {}, "me") == "abcdefgh"
    assert name_of("model", "a\x1b[31mb", {}, "me") == "ab"


# -- pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "pages"),
    [
        (160, 36, ((0, 1, 2, 3, 4, 5),)),
        (100, 25, ((0, 1, 2, 3), (4, 5, BOARD))),
        (60, 13, ((0,), (1,), (2,), (3,), (4,), (5,), (BOARD,))),
        (60, 36, ((0, 1, 2), (3, 4, 5), (BOARD,))),
        (200, 12, ((0, 1), (2, 3), (4, 5))),
    ],
)
def test_as_many_graphs_as_there_is_room_for(
    width: int, height: int, pages: tuple[tuple[int, ...], ...]
) -> None:
    found = pages_for(width, height, alone=False)
    assert found.pages == pages
    assert found.beside == (width >= 140)
    assert found.page_of(5) == next(n for n, page in enumerate(pages) if 5 in page)


def test_alone_each_has_a_page() -> None:
    assert len(pages_for(160, 36, alone=True).pages) == 6
    assert len(pages_for(100, 25, alone=True).pages) == 7


def test_a_range_asks_for_points_that_a_screen_has_room_for() -> None:
    for each in RANGES:
        ask = each.ask(NOW, "model", "gateway")
        assert ask.since == int(NOW) - each.seconds and ask.machine
        assert 10 <= each.seconds / ask.step <= 360


def test_a_reply_of_short_steps_makes_no_endless_lines() -> None:
    month = figures_of(reply(1, [row(86_400 * 30 - 5, "")]), since=0, now=86_400 * 30)
    points = month[0].lines[0].points
    assert len(points) <= MAX_POINTS + 1 and points[-1][0] == 86_400 * 30 - 1


def test_series_are_summed_by_day_where_that_is_asked() -> None:
    rows = [row(0, ""), row(86_399, ""), row(86_400, "")]
    days = of_series(reply(60, rows), "day", str)
    assert [(day.name, day.requests) for day in days] == [("1970-01-01", 2), ("1970-01-02", 1)]


def test_first_tokens_are_asked_in_one_point_for_each_name_and_days_apart() -> None:
    ask = firsts_ask(RANGES[2], "model", "gateway", NOW)
    assert (ask.since, ask.step, ask.by, ask.machine) == (int(NOW) - 86_400, 0, "model", False)
    ask = firsts_ask(RANGES[3], "day", "client", NOW)
    assert (ask.step, ask.by, ask.role) == (86_400, "", "client")


def test_first_tokens_are_found_by_what_accounts_call_it() -> None:
    rows = [row(0, ""), row(86_400, "m"), SeriesRow(at=0, name="silent", requests=1)]
    assert set(firsts_of(reply(60, rows), "model")) == {"", "(no model)", "m"}
    assert set(firsts_of(reply(60, rows), "key")) == {"", "m"}
    assert set(firsts_of(reply(86_400, rows), "day")) == {"1970-01-01", "1970-01-02"}
    known = UsageRow(name="laptop", id="k1", requests=2)
    other = UsageRow(name="m", requests=1)
    spread = {
        "k1": Spread(mean=1, p50=0.2, p95=0.6, p99=1),
        "m": Spread(mean=1, p50=1, p95=2, p99=3),
    }
    sums = of_accounts(UsageReply(rows=(known, other, UsageRow(name="new")), total=known, by="key",
                                  since=0, until=1), str, spread)  # fmt: skip
    assert [(one.p50, one.p95) for one in sums] == [(0.2, 0.6), (1, 2), (None, None)]


# -- files ---------------------------------------------------------------------------------------


def test_a_file_has_every_value_and_no_formula() -> None:
    rows = [row(0, "=cmd()"), row(60, "=cmd()")]
    text = export.text_of_figures(figures_of(reply(60, rows), since=0, now=120, by="key"))
    lines = text.splitlines()
    assert lines[0] == "time,figure,line,value"
    assert "1970-01-01T00:01:00Z,Tokens a second,'=cmd(),1" in lines
    assert "1970-01-01T00:01:00Z,First token p50,'=cmd(),0.5" in lines
    assert "1970-01-01T00:01:00Z,First token p50,'=cmd() p95,2" in lines
    firsts = {"=cmd()": Spread(mean=1, p50=0.25, p95=2, p99=3)}
    sums = of_series(reply(60, [*rows, row(0, "k2")]), "key", str, firsts)
    assert export.text_of_sums("key", sums).splitlines() == [
        ",".join(
            (
                "key,requests,errors,prompt_tokens,cached_tokens,completion_tokens,total_tokens",
                "first_token_p50_seconds,first_token_p95_seconds",
            )
        ),
        "'=cmd(),2,0,0,0,120,120,0.25,2",
        "k2,1,0,0,0,60,60,,",
    ]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    export.write(export.path_of(str(path)), "1\n")
    with pytest.raises(InvalidRequest, match="is there already"):
        export.path_of(str(path))
    with pytest.raises(ConfigError, match="cannot be written"):
        export.write(path, "2\n")
    assert path.read_text() == "1\n"
    with pytest.raises(InvalidRequest, match="There is no folder"):
        export.path_of(str(tmp_path / "no" / "a.csv"))
    with pytest.raises(InvalidRequest, match="Type the name of a file"):
        export.path_of("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InvalidRequest, match="is there already"):
        export.path_of(str(tmp_path / "dangling"))

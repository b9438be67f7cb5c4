"""The pure parts of bench/engine: statistics, tables and plots."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from bench.engine.figures import jain, percentile, short, spread
from bench.engine.plots import charts
from bench.engine.svg import Chart, Series
from bench.engine.tables import report

SVG = "{http://www.w3.org/2000/svg}"


def test_jain_is_one_where_all_have_the_same_and_1_over_n_where_one_has_all() -> None:
    assert jain([7] * 10) == pytest.approx(1)
    assert jain([0] * 9 + [5]) == pytest.approx(0.1)
    assert jain([1, 2, 3]) == pytest.approx(36 / 42)
    assert jain([0, 0]) == 1


def test_spread_and_percentile() -> None:
    assert spread([3, 1, 2]) == (1, 2, 3, 3)
    assert spread([]) is None
    assert percentile(range(1, 101), 0.95) == 95
    assert percentile([4.0], 0.95) == 4.0
    assert percentile([1, 2, 3], 0.5) == 2


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (0.12345, "0.123"),
        (1.5, "1.50"),
        (42.42, "42.4"),
        (1234.5, "1,234"),
        (1e-4, "1.0e-04"),
    ],
)
def test_three_digits_count(value: float, told: str) -> None:
    assert short(value) == told


def test_a_bar_is_as_high_as_its_figure_and_what_is_missing_is_a_dash() -> None:
    chart = Chart(
        "a < b", "s", ["one", "two"],
        [Series("x", [(1, 2, 3), (8, 8, 8)]), Series("y & z", [None, (4, 4, 4)])],
    )  # fmt: skip
    root = ElementTree.fromstring(chart.svg())
    bars = [bar for bar in root.iter(f"{SVG}rect") if bar.get("class") == "bar"]
    heights = [float(bar.get("height", "")) for bar in bars]
    assert heights[0] == pytest.approx(heights[1] / 4, abs=0.1)
    assert heights[2] == pytest.approx(heights[1] / 2, abs=0.1)
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert {"a < b (s)", "y & z", "–", "2.00"} <= set(words)


def raw(**failed: str) -> dict[str, Any]:
    def run(contender: str, turn: int, speed: float) -> dict[str, Any]:
        return {
            "contender": contender, "label": contender.upper(), "round": turn,
            "figures": {"speed_8": speed, "stream": speed / 4}, "failed": failed,
        }  # fmt: skip

    return {
        "machine": {
            "date": "2026-11-26T00:00", "cores": 2, "cpu": "C", "python": "3", "packages": {},
            "commit": "abc", "load_before": 0.1, "load_after": 2.0,
        },
        "quick": False, "settings": [], "crowd": None, "failed": {},
        "bandwidth": [20.0], "weights": {"ours": 200_000_000, "transformers": 500_000_000},
        "runs": [run("ours", 0, 90), run("transformers", 0, 40),
                 run("transformers", 1, 44), run("ours", 1, 110)],
    }  # fmt: skip


def test_a_report_has_medians_ratios_limits_and_what_failed() -> None:
    told = report(raw(behind="TimeoutError: no end"))
    assert "| tokens a second, 8 at once | 100 (90.0–110) | 42.0 (40.0–44.0) |" in told
    assert "| `transformers serve` at 8 at once, times | ≥ 2.5 | 2.38 | **no** |" in told
    assert "| the limit, tokens a second | 100 | 40.0 |" in told
    assert "| reached | 25% | 26% |" in told
    assert "- OURS, round 2, behind: TimeoutError: no end" in told


def test_plots_are_drawn_also_where_most_was_not_measured() -> None:
    made = charts(raw())
    assert "engine-throughput" in made
    for chart in made.values():
        ElementTree.fromstring(chart.svg())
    assert charts(raw() | {"runs": []}) == {}

"""Which plots a run gives. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench.engine.scenes import AT_ONCE
from bench.engine.svg import Bar, Chart, Series
from bench.engine.tables import figure, limit, of_contenders

Raw = dict[str, Any]


def charts(raw: Raw) -> dict[str, Chart]:
    """The plots, by the names of their files; none where nothing was measured."""
    if not of_contenders(raw):
        return {}
    at_once = [f"{count} at once" for count in AT_ONCE]
    return {
        "engine-throughput": Chart(
            "All answers together", "tokens a second", at_once,
            _by_contender(raw, lambda name: [_rounds(raw, name, f"speed_{n}") for n in AT_ONCE]),
        ),
        "engine-ttft": Chart(
            "Time to first token: half of the requests (bar, figure), and 95% (whisker)", "s",
            at_once,
            _by_contender(raw, lambda name: [_ttft(raw, name, n) for n in AT_ONCE]),
        ),
        "engine-waits": Chart(
            "Time to first token", "s",
            ["500 tokens", "short, behind 2,000 tokens", "second turn over 500"],
            _by_contender(raw, lambda name: [
                _rounds(raw, name, key) for key in ("prefill_ttft", "behind_short", "again_ttft")
            ]),
        ),
        "engine-memory": Chart(
            "Memory of all its processes", "MiB", ["loaded", "at most, 32 at once"],
            _by_contender(raw, lambda name: [
                _rounds(raw, name, key) for key in ("pss_loaded", "pss_peak")
            ]),
        ),
        "engine-stream": _stream(raw),
    }  # fmt: skip


def _by_contender(raw: Raw, bars: Callable[[str], Sequence[Bar]]) -> list[Series]:
    return [Series(label, bars(name)) for name, label in sorted_names(raw)]


def sorted_names(raw: Raw) -> list[tuple[str, str]]:
    """Names and labels: ours first."""
    return sorted(of_contenders(raw).items(), key=lambda item: not item[0].startswith("ours"))


def _rounds(raw: Raw, name: str, key: str) -> Bar:
    found = figure(raw, name, key)
    return None if found is None else (found.low, found.middle, found.high)


def _ttft(raw: Raw, name: str, count: int) -> Bar:
    half, most = (figure(raw, name, f"ttft_{p}_{count}") for p in ("p50", "p95"))
    return None if half is None or most is None else (half.middle, half.middle, most.middle)


def _stream(raw: Raw) -> Chart:
    names = sorted_names(raw)
    limits: list[Bar] = []
    for name, _ in names:
        most = limit(raw, name)
        limits.append(None if most is None else (most, most, most))
    return Chart(
        "One stream, and what the memory's bandwidth allows it", "tokens a second",
        [label for _, label in names],
        [Series("reached", [_rounds(raw, name, "stream") for name, _ in names]),
         Series("the limit", limits)],
    )  # fmt: skip

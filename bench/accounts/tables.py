"""The report in Markdown, of what a run kept. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.engine.figures import short, spread

Raw = dict[str, Any]
Table = Sequence[Sequence[str]]

_ADMISSION = {
    "limited": "a key with all four limits, of a user with all four; 5,000 such by chance",
    "same": "one such key again and again",
    "first": "the first request of such a key",
    "unlimited": "a key and a user without limits",
    "spent": "refused: a limit is reached",
    "wrong": "refused: no such key",
    "door": "besides, at the HTTP door: does the key hold, what the headers say",
    "floor": "the floor: a key's SHA-256, and a look into a table",
}
_ROWS = {
    "ended": "an event, its request came and went between two batches",
    "long": "an event, its request was written down as under way",
    "grown": "a request under way, its row anew",
    "floor": "an event into a bare table",
}
_DOOR = ("uncounted", "counted", "twin")


def report(raw: Raw) -> str:
    """All tables of the parts that were run, and how far the aims are reached."""
    parts = [_machine(raw)]
    for name, tables in (
        ("admission", _admission), ("rows", _rows), ("usage", _usage), ("door", _door),
    ):  # fmt: skip
        if name in raw:
            parts += tables(raw[name])
    parts.append(table(("aim", "to reach", "reached", ""), list(_aims(raw))))
    return "\n\n".join(parts)


def table(head: Sequence[str], lines: Table) -> str:
    """One in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _machine(raw: Raw) -> str:
    facts = raw["machine"]
    return (
        f"{facts['cores']} cores of {facts['cpu']}, on {facts['date'][:10]}, load "
        f"{facts['load_before']} before and {facts.get('load_after', '?')} after; Python "
        f"{facts['python']}, SQLite {facts['sqlite']}, aiplat at {facts['commit']}; medians of "
        f"{raw['rounds']} rounds, the least and the most behind them."
    )


def told(values: Sequence[float]) -> str:
    """The median over the rounds, with the least and the most."""
    found = spread(values)
    if found is None:
        return "–"
    return f"{short(found.middle)} ({short(found.low)}–{short(found.high)})"


def _middle(values: Sequence[float]) -> float:
    found = spread(values)
    assert found is not None
    return found.middle


def _admission(part: Raw) -> Iterator[str]:
    rows, lines = part["rows"], []
    for kind, words in _ADMISSION.items():
        admit, settle = rows[f"{kind}.admit"], rows.get(f"{kind}.settle")
        lines.append((
            words, told(admit["p50_us"]), told(admit["p99_us"]),
            told(settle["p50_us"]) if settle else "–",
        ))  # fmt: skip
    head = f"{part['keys']:,} keys, {part['users']:,} users; µs"
    yield table((head, "admit, p50", "p99", "settle, p50"), lines)
    yield (
        f"Opened in {short(part['open_s'])} s, with {short(part['open_mib'])} MiB more "
        f"({short(part['peak_mib'])} MiB at most, the bench itself in it)."
    )


def _rows(part: Raw) -> Iterator[str]:
    full = part["full"]["events_before"]
    lines = []
    for kind, words in _ROWS.items():
        for rate in ("1000", "100"):
            found = [part[store]["rows"][f"{kind}.{rate}"] for store in ("empty", "full")]
            lines.append((
                f"{words}, {rate} a second",
                *(told(row[figure]) for row in found for figure in ("p50_us", "mean_us")),
            ))  # fmt: skip
    there = f"{full:,} events there"
    yield table(
        ("µs a row", "empty store: of the median batch", "the mean",
         f"{there}: of the median batch", "the mean"),
        lines,
    )  # fmt: skip
    both = [part[store] for store in ("empty", "full")]
    yield table(
        ("tending", "empty store", there),
        [
            ("the longest batch of a hundred events, ms",
             *(told(one["rows"]["ended.1000"]["longest_ms"]) for one in both)),
            ("the median one beside a busy loop, ms", *(short(one["busy_ms"]) for one in both)),
            ("folding an event into the sums, µs", *(short(one["fold_us"]) for one in both)),
            ("its longest transaction, ms", *(short(one["fold_longest_ms"]) for one in both)),
            ("removing what is old, ms at most", *(short(one["prune_longest_ms"]) for one in both)),
            ("opening the accounts, s", *(short(one["open_s"]) for one in both)),
        ],
    )  # fmt: skip


def _usage(part: Raw) -> Iterator[str]:
    rows, filling = part["rows"], part["filling"]
    lines = [
        (f"--by {by}, {days} days",
         *(told(rows[f"{by}.{who}.{days}"]) for who in ("everyone", "busiest", "ordinary")))
        for by in ("day", "model", "key", "peer")
        for days in (30, 7)
    ]  # fmt: skip
    yield table(("usage, ms", "of everyone", "of a busy user", "of an ordinary one"), lines)
    yield (
        f"{filling['events']:,} events, made in {filling['seconds'] / 60:.1f} minutes; "
        f"{filling['mib']:,.0f} MiB, {filling['sums']:,} rows of sums. Without the sums, --by day "
        f"of everyone over 30 days takes {short(part['from_events_ms'])} ms. The accounts open in "
        f"{short(part['open_s'])} s."
    )


def _door(part: Raw) -> Iterator[str]:
    figures = {
        "p50_ms": "one at a time, p50, ms", "p99_ms": "p99, ms",
        "rate": "100 at once, requests a second", "rate_p99_ms": "p99, ms",
        "cpu_us": "CPU of the node for one, µs",
    }  # fmt: skip
    yield table(
        ("", "accounts off", "a key with limits", "accounts off, the twin"),
        [(words, *(told(part[name][key]) for name in _DOOR)) for key, words in figures.items()],
    )
    yield table(
        ("beside accounts off, round by round", "a key with limits", "the twin"),
        [
            ("added one at a time, p50, ms",
             *(told(_more(part, name, "p50_ms")) for name in _DOOR[1:])),
            ("requests a second at 100 at once, times",
             *(told(_times(part, name, "rate")) for name in _DOOR[1:])),
            ("CPU of the node for one, added, µs",
             *(told(_more(part, name, "cpu_us")) for name in _DOOR[1:])),
        ],
    )  # fmt: skip


def _more(part: Raw, name: str, figure: str) -> list[float]:
    pairs = zip(part[name][figure], part["uncounted"][figure], strict=True)
    return [one - base for one, base in pairs]


def _times(part: Raw, name: str, figure: str) -> list[float]:
    pairs = zip(part[name][figure], part["uncounted"][figure], strict=True)
    return [one / base for one, base in pairs]


def _aims(raw: Raw) -> Iterator[Sequence[str]]:
    if "admission" in raw:
        row = raw["admission"]["rows"]["limited.admit"]
        yield _at_most("one admission, µs p50", 20, _middle(row["p50_us"]))
    if "rows" in raw:
        for store, where in (("empty", "in an empty store"), ("full", "where the events are")):
            row = raw["rows"][store]["rows"]["ended.1000"]
            yield _at_most(f"one row of usage {where}, µs", 10, _middle(row["p50_us"]))
    if "usage" in raw:
        rows = raw["usage"]["rows"]
        days = max(_middle(ms) for name, ms in rows.items() if name.startswith("day."))
        yield _at_most("the slowest `usage --by day`, ms", 200, days)
        yield _at_most("the slowest by anything, ms", 200, max(map(_middle, rows.values())))
    if "door" in raw:
        added = _middle(_more(raw["door"], "counted", "p50_ms"))
        yield _at_most("added at the door, ms p50", 0.5, added)
        kept = _middle(_times(raw["door"], "counted", "rate"))
        yield ("requests a second kept at 100 at once, times", "≥ 0.9", short(kept),
               "yes" if kept >= 0.9 else "**no**")  # fmt: skip


def _at_most(words: str, most: float, found: float) -> Sequence[str]:
    verdict = "yes" if found <= most else "**no**"
    return words, f"≤ {most:g}", short(found), verdict

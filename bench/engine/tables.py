"""The tables of a run, in Markdown as docs/performance.md has them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bench.engine.figures import Spread, short, spread
from bench.engine.machine import told
from bench.engine.scenes import AT_ONCE

Raw = dict[str, Any]


class Row(NamedTuple):
    """A line of the table: its words, the figure's key, and what turns it into the unit shown."""

    words: str
    key: str
    scale: float = 1.0


ROWS = (
    *(Row(f"tokens a second, {n} at once", f"speed_{n}") for n in AT_ONCE),
    *(Row(f"TTFT {p}, {n} at once, s", f"ttft_{p}_{n}") for n in AT_ONCE for p in ("p50", "p95")),
    Row("one stream after its first token, tokens a second", "stream"),
    Row("prefill of 500 tokens, tokens a second", "prefill"),
    Row("TTFT of these, s", "prefill_ttft"),
    Row("TTFT of a short request 0.2 s after one of 2,000 tokens, s", "behind_short"),
    Row("and of that long one, s", "behind_long"),
    Row("TTFT of the second turn over 500 tokens, s", "again_ttft"),
    Row("memory when loaded (PSS), MiB", "pss_loaded"),
    Row("at most, 32 at once, MiB", "pss_peak"),
    Row("start to ready, s", "start"),
    Row("tokens in / out at 8 at once (mean)", "out_8"),
)


def of_contenders(raw: Raw) -> dict[str, str]:
    """The labels of those that were run, by name, in the order of their first round."""
    found: dict[str, str] = {}
    for run in raw["runs"]:
        found.setdefault(run["contender"], run["label"])
    return found


def figure(raw: Raw, contender: str, key: str) -> Spread | None:
    """A figure of a contender over the rounds; None where it was not measured."""
    runs = (run["figures"] for run in raw["runs"] if run["contender"] == contender)
    return spread(figures[key] for figures in runs if key in figures)


def report(raw: Raw) -> str:
    """All that is told of a run."""
    parts = [
        "(--quick: these figures show that the bench works, and nothing else.)" * raw["quick"],
        told(raw["machine"]),
        f"Ours with {', '.join(raw['settings'])}." if raw["settings"] else "",
        _table(raw), _limits(raw), _crowd(raw), "" if raw["quick"] else _aims(raw), _failed(raw),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def _table(raw: Raw) -> str:
    names = of_contenders(raw)
    if not names:
        return ""
    rows = [["", *names.values()]]
    for row in ROWS:
        if row.key == "out_8":
            rows.append([row.words, *(_lengths(raw, name) for name in names)])
        else:
            rows.append([row.words, *(_cell(figure(raw, name, row.key)) for name in names)])
    return markdown(rows)


def _lengths(raw: Raw, name: str) -> str:
    both = [figure(raw, name, key) for key in ("in_8", "out_8")]
    return " / ".join("–" if one is None else f"{one.middle:.1f}" for one in both)


def _cell(found: Spread | None) -> str:
    if found is None:
        return "–"
    if found.rounds == 1:
        return short(found.middle)
    return f"{short(found.middle)} ({short(found.low)}–{short(found.high)})"


def markdown(rows: list[list[str]]) -> str:
    """A table; the first row is its head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def limit(raw: Raw, contender: str) -> float | None:
    """Tokens a second that the memory's bandwidth lets one stream have."""
    found = spread(raw["bandwidth"])
    if found is None or contender not in raw["weights"]:
        return None
    return found.middle * 1e9 / float(raw["weights"][contender])


def _limits(raw: Raw) -> str:
    found = spread(raw["bandwidth"])
    names = of_contenders(raw)
    if found is None or not names:
        return "" if found is None else f"Bandwidth, all cores reading: {_cell(found)} GB/s."
    rows = [["one stream", *names.values()]]
    rows.append(["weights read for a token, MB",
                 *(f"{raw['weights'][name] / 1e6:.0f}" for name in names)])  # fmt: skip
    limits = {name: limit(raw, name) or 0.0 for name in names}
    rows.append(["the limit, tokens a second", *(short(limits[name]) for name in names)])
    streams = {name: figure(raw, name, "stream") for name in names}
    rows.append(["reached", *(
        "–" if one is None else f"{100 * one.middle / limits[name]:.0f}%"
        for name, one in streams.items()
    )])  # fmt: skip
    return (
        f"The memory gives {_cell(found)} GB/s to all cores together (a sum over 512 MiB):\n\n"
        + markdown(rows)
    )


def _crowd(raw: Raw) -> str:
    crowd = raw["crowd"]
    if not crowd:
        return ""
    head = f"{crowd['requests']} requests at once from {crowd['users']} users, ours"
    rows = [[head, *(wave["order"] for wave in crowd["waves"])]]
    lines: list[tuple[str, Callable[[Raw], str]]] = [
        ("ended well", lambda w: str(w["ended"])),
        ("tokens a second", lambda w: short(w["tokens"] / w["seconds"])),
        ("seconds", lambda w: short(w["seconds"])),
        ("Jain's index over users at a quarter of it", lambda w: f"{w['jain']['0.25']:.3f}"),
        ("at the half", lambda w: f"{w['jain']['0.5']:.3f}"),
        ("at three quarters", lambda w: f"{w['jain']['0.75']:.3f}"),
        ("at the end", lambda w: f"{w['jain']['1']:.3f}"),
        ("memory at most (PSS, with the bench itself), MiB", lambda w: short(w["pss_peak_mib"])),
    ]
    rows += [[words, *(tell(wave) for wave in crowd["waves"])] for words, tell in lines]
    before, *after = crowd["pss_mib"]
    rows.append([f"memory afterwards, MiB ({short(before)} before)", *map(short, after)])
    return markdown(rows)


def _aims(raw: Raw) -> str:
    def ratio(other: str, count: int) -> float | None:
        both = [figure(raw, name, f"speed_{count}") for name in ("ours", other)]
        return both[0].middle / both[1].middle if both[0] and both[1] else None

    def ours(key: str) -> float | None:
        found = figure(raw, "ours", key)
        return found.middle if found else None

    crowd = raw["crowd"]

    def fair(order: str) -> float | None:
        waves = crowd["waves"] if crowd else []
        found = spread(wave["jain"]["0.5"] for wave in waves if wave["order"] == order)
        return found.low if found else None

    memory = crowd["pss_mib"] if crowd else []
    whole = all(w["ended"] == crowd["requests"] for w in crowd["waves"]) if crowd else None
    aims: list[tuple[str, float | None, float, bool]] = [
        ("`transformers serve` at 8 at once, times", ratio("transformers", 8), 2.5, True),
        ("the same at 32", ratio("transformers", 32), 2, True),
        ("llama.cpp at 8, times", ratio("llama.cpp", 8), 1, True),
        ("one stream, tokens a second", ours("stream"), 50, True),
        ("TTFT of a short request behind a long one, s", ours("behind_short"), 1, False),
        ("TTFT of the second turn over 500 tokens, s", ours("again_ttft"), 0.15, False),
        ("Jain's index at the half, chance order", fair("chance order"), 0.95, True),
        ("the same, user after user", fair("user after user"), 0.95, True),
        ("memory after the last wave over that after the first",
         memory[-1] / memory[1] if len(memory) > 2 else None, 1.05, False),
        ("of 100 requests at once all end", None if whole is None else float(whole), 1, True),
    ]  # fmt: skip
    rows = [["aim (ours, 4-bit)", "to reach", "reached", ""]]
    for words, got, aim, more in aims:
        if got is not None:
            good = got >= aim if more else got <= aim
            sign = "≥" if more else "≤"
            rows.append([words, f"{sign} {aim:g}", short(got), "yes" if good else "**no**"])
    return markdown(rows) if len(rows) > 1 else ""


def _failed(raw: Raw) -> str:
    lines = [f"- {what}: {why}" for what, why in raw["failed"].items()]
    for run in raw["runs"]:
        for scene, why in run["failed"].items():
            lines.append(f"- {run['label']}, round {run['round'] + 1}, {scene}: {why}")
    return "\n".join(["What failed:", *lines]) if lines else ""

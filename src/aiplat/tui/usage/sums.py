"""The rows of the table of totals: as a gateway counted them, or as this node's series have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from aiplat.control.accounts import UsageBy, UsageReply
from aiplat.control.series import SeriesReply, SeriesRow, Spread

TABLE_BY: tuple[UsageBy, ...] = ("model", "key", "peer", "day")
Name = Callable[[str], str]
Firsts = Mapping[str, Spread]
"""How long first tokens took, by model, key's id, peer or day."""
NO_FIRSTS: Firsts = {}


@dataclass(frozen=True)
class Sum:
    """What one model, key, peer or day came to.

    Arguments:
        id: tells rows of one name apart.
        p50, p95: seconds to the first token; None where nobody knows.
    """

    id: str
    name: str
    requests: int
    errors: int
    prompt: int
    cached: int
    completion: int
    p50: float | None = None
    p95: float | None = None

    @property
    def total(self) -> int:
        """Tokens in and out."""
        return self.prompt + self.completion


def of_accounts(reply: UsageReply, name: Name, firsts: Firsts = NO_FIRSTS) -> list[Sum]:
    """As the gateway's accounts counted them.

    Arguments:
        firsts: how long first tokens took: accounts do not count that.
    """
    return [
        _with_firsts(
            Sum(f"{row.id} {row.name}", name(row.name), row.requests, row.errors,
                row.prompt_tokens, row.cached_tokens, row.completion_tokens),
            firsts, row.id or row.name,
        )
        for row in reply.rows
    ]  # fmt: skip


def of_series(reply: SeriesReply, by: UsageBy, name: Name, firsts: Firsts = NO_FIRSTS) -> list[Sum]:
    """As this node's series have it: by day (UTC, as accounts count), or all times together.

    Arguments:
        firsts: how long first tokens took: that of several rows cannot be added up.
    """
    found: dict[str, list[int]] = {}
    for row in reply.rows:
        sums = found.setdefault(series_key(row, by), [0] * 5)
        sums[:] = [a + b for a, b in zip(sums, _numbers(row), strict=True)]
    made = [Sum(key, name(key), *sums) for key, sums in found.items()]
    return [_with_firsts(row, firsts, row.id) for row in made]


def series_key(row: SeriesRow, by: UsageBy) -> str:
    """What a row of the series is of: a day as accounts name it, or its name."""
    return f"{datetime.fromtimestamp(row.at, UTC):%Y-%m-%d}" if by == "day" else row.name


def _with_firsts(row: Sum, firsts: Firsts, key: str) -> Sum:
    found = firsts.get(key)
    return row if found is None else replace(row, p50=found.p50, p95=found.p95)


def _numbers(row: SeriesRow) -> tuple[int, int, int, int, int]:
    return row.requests, row.errors, row.prompt_tokens, row.cached_tokens, row.completion_tokens

"""The rows of the table of totals: as a gateway counted them, or as this node's series have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiplat.control.accounts import UsageBy, UsageReply
from aiplat.control.series import SeriesReply, SeriesRow

TABLE_BY: tuple[UsageBy, ...] = ("model", "key", "peer", "day")
Name = Callable[[str], str]


@dataclass(frozen=True)
class Sum:
    """What one model, key, peer or day came to; `id` tells rows of one name apart."""

    id: str
    name: str
    requests: int
    errors: int
    prompt: int
    cached: int
    completion: int

    @property
    def total(self) -> int:
        """Tokens in and out."""
        return self.prompt + self.completion


def of_accounts(reply: UsageReply, name: Name) -> list[Sum]:
    """As the gateway's accounts counted them."""
    return [
        Sum(f"{row.id} {row.name}", name(row.name), row.requests, row.errors, row.prompt_tokens,
            row.cached_tokens, row.completion_tokens)
        for row in reply.rows
    ]  # fmt: skip


def of_series(reply: SeriesReply, by: UsageBy, name: Name) -> list[Sum]:
    """As this node's series have it: by day (UTC, as accounts count), or all times together."""
    found: dict[str, list[int]] = {}
    for row in reply.rows:
        key = f"{datetime.fromtimestamp(row.at, UTC):%Y-%m-%d}" if by == "day" else row.name
        sums = found.setdefault(key, [0] * 5)
        sums[:] = [a + b for a, b in zip(sums, _numbers(row), strict=True)]
    return [Sum(key, name(key), *sums) for key, sums in found.items()]


def _numbers(row: SeriesRow) -> tuple[int, int, int, int, int]:
    return row.requests, row.errors, row.prompt_tokens, row.cached_tokens, row.completion_tokens

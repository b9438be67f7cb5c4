"""Deltas cut, so that they fit the reader's credit. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aiplat.domain.answers import Delta, Logprobs


def split(delta: Delta, credit: int) -> tuple[Delta | None, Delta | None]:
    """Cut off what `credit` pays for: that piece, and the rest. Either may be None.

    Ids go first, with their log-probabilities; text lags behind them, as it may, and calls and
    vectors behind that. One piece of a call, and one vector, is never cut.
    """
    if delta.cost <= credit:
        return delta, None
    count, left = 0, credit
    tokens = _tokens(delta)
    while count < tokens and (price := _price(delta, count)) <= left:
        left -= price
        count += 1
    chars = min(len(delta.text), left // 4) if count == tokens else 0
    left -= 4 * chars
    calls = vectors = 0
    if count == tokens and chars == len(delta.text):
        prices = [Delta(calls=(piece,)).cost for piece in delta.calls]
        calls = _affordable(prices, left)
        if calls == len(prices):
            vectors = _affordable(list(map(len, delta.vectors)), left - sum(prices))
    if not (count or chars or calls or vectors):
        return None, delta
    head = Delta(
        delta.ids[:count], delta.text[:chars], _cut(delta.logprobs, 0, count),
        delta.calls[:calls], delta.vectors[:vectors],
    )  # fmt: skip
    tail = Delta(
        delta.ids[count:], delta.text[chars:], _cut(delta.logprobs, count, None),
        delta.calls[calls:], delta.vectors[vectors:],
    )  # fmt: skip
    return head, tail


def _affordable(prices: Sequence[int], credit: int) -> int:
    """How many of what has these prices `credit` pays for, in their order."""
    count = 0
    for price in prices:
        credit -= price
        if credit < 0:
            break
        count += 1
    return count


def _tokens(delta: Delta) -> int:
    """How many it has; an upstream may give log-probabilities of tokens without their ids."""
    return max(len(delta.ids), 0 if delta.logprobs is None else len(delta.logprobs.tokens))


def _price(delta: Delta, at: int) -> int:
    """What the token at `at` costs: its id and its log-probabilities."""
    return 4 * (at < len(delta.ids)) + Delta(logprobs=_cut(delta.logprobs, at, at + 1)).cost


def _cut(logprobs: Logprobs | None, start: int, end: int | None) -> Logprobs | None:
    if logprobs is None or not logprobs.tokens[start:end]:
        return None
    return Logprobs(logprobs.tokens[start:end], logprobs.top[start:end])

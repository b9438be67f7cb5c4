"""Deltas that follow each other, as one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from aiplat.domain.answers import AnswerEvent, Delta, Logprobs


def join(*deltas: Delta) -> Delta:
    """One delta that says what several said, one after the other; it costs what they did."""
    if len(deltas) == 1:
        return deltas[0]
    said = [delta.logprobs for delta in deltas if delta.logprobs is not None]
    return Delta(
        tuple(chain.from_iterable(delta.ids for delta in deltas)),
        "".join([delta.text for delta in deltas]),
        _join_logprobs(said) if said else None,
        tuple(chain.from_iterable(delta.calls for delta in deltas)),
        tuple(chain.from_iterable(delta.vectors for delta in deltas)),
    )


def coalesced(events: Sequence[AnswerEvent]) -> Iterator[AnswerEvent]:
    """Join the deltas that follow each other; all other events stay as they are."""
    deltas: list[Delta] = []
    for told in events:
        if isinstance(told, Delta):
            deltas.append(told)
            continue
        if deltas:
            yield join(*deltas)
            deltas = []
        yield told
    if deltas:
        yield join(*deltas)


def _join_logprobs(said: Sequence[Logprobs]) -> Logprobs:
    return Logprobs(
        tuple(chain.from_iterable(one.tokens for one in said)),
        tuple(chain.from_iterable(one.top for one in said)),
    )

"""What a face asks of the series behind the graphs, and is told. Fields are append-only.

Times of day are whole seconds since 1970 (UTC); durations are seconds.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from aiplat.domain.ids import Role

Column = Literal["", "model", "key", "peer", "role"]


class SeriesAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which figures to show.

    Arguments:
        since: the first minute.
        until: up to this moment, itself left out; 0 for now. With longer steps it is the end of
            its five minutes, or of its hour.
        step: seconds of one point, at least: a long time has fewer points (`SeriesReply.step`), and
            what is older than the minutes that are kept comes by hours. 0 for all of it in one.
            Less than 60 is had for the last two minutes alone: there tokens of answers count as
            they come, and not when the answer ends.
        by: what gets rows of its own.
        role: what one of the node's roles saw; "" for all, so that a request that two roles of
            this node had counts twice. What this node's own faces asked is the client's,
            wherever it was answered.
        machine: also how busy engines and GPUs were.
    """

    since: int
    until: int = 0
    step: int = 60
    by: Column = ""
    role: Role | Literal[""] = ""
    machine: bool = False


class Spread(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How long something took: the mean, and times that half, 95 and 99 of 100 did not exceed.

    All but the mean are estimates, out of buckets of which each is twice the one before.
    """

    mean: float
    p50: float
    p95: float
    p99: float


class SeriesRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What came to its end within one step, beginning at `at`.

    Arguments:
        name: of the model, key, peer or role; ``other`` for what has no row of its own.
        first: to the first token; None where no answer had one.
        total: to the end.
    """

    at: int
    name: str = ""
    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    first: Spread | None = None
    total: Spread | None = None


class MachineRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An engine's process, or a GPU, within one step.

    Arguments:
        name: the model that the process ran, or the GPU's number and name.
        busy, busy_most: of a process CPUs, of a GPU the share of the time, on average and at
            most; None where it is not known.
        memory_bytes, memory_most: likewise.
        memory_total: of a GPU, in bytes; 0 where it does not tell.
    """

    at: int
    part: Literal["engine", "gpu"]
    name: str
    busy: float | None = None
    busy_most: float | None = None
    memory_bytes: int = 0
    memory_most: int = 0
    memory_total: int = 0


class SeriesReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The figures, as rows by time and name; a step in which nothing ended has none.

    Arguments:
        step: the seconds of one point, as it was chosen.
        total: all of it in one.
        problem: why there may be less than there was, in words; empty when all is well.
    """

    since: int
    until: int
    step: int
    rows: tuple[SeriesRow, ...]
    total: SeriesRow
    machine: tuple[MachineRow, ...] = ()
    problem: str = ""


class ShareSum(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that were answered, and their tokens."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine answered for others, and others for it, in the last day and 30 days."""

    gave_day: ShareSum = ShareSum()
    gave_month: ShareSum = ShareSum()
    took_day: ShareSum = ShareSum()
    took_month: ShareSum = ShareSum()

"""Claims of processors that cannot be: counted, and told to the operator now and then."""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiplat.domain.ids import PeerId, short
from aiplat.roles.tally import Part
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.gateway")

TELL_SECONDS = 60.0
"""How often the log tells of one processor."""
MAX_TOLD = 1000
"""Processors of which it is kept when that was; those that are over it are told of again."""


class Claims:
    """What the processors of one gateway claimed and was not believed.

    Arguments:
        now: the clock, in seconds.
    """

    def __init__(self, metrics: Metrics, now: Callable[[], float]) -> None:
        self._hits = metrics.bound_hits
        self._now = now
        self._told: dict[PeerId, float] = {}

    def doubted(self, processor: PeerId, request: str, part: Part, claimed: int, most: int) -> None:
        """A processor claimed so many tokens of what can have so many `most`."""
        self._hits.labels("claimed_tokens").inc()
        now = self._now()
        if now - self._told.get(processor, -TELL_SECONDS) < TELL_SECONDS:
            return
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told[processor] = now
        log.warning(
            "the processor %s claims %d tokens of %s that can have %d at most, which are counted: "
            "it counts wrongly, or a server behind it adds text, or thinks, and counts that",
            short(processor), claimed, "a prompt" if part == "prompt" else "an answer", most,
            extra={"request": request, "processor": processor},
        )  # fmt: skip

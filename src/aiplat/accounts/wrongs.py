"""Wrong passwords, invitations, sessions, links: counted, and in the log with the peer's name.

Never what was wrong itself: a mistyped password is nearly the right one.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from aiplat.control.sessions import WEB
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.accounts")

Reason = Literal["password", "invitation", "session", "link"]
QUIET_SECONDS = 60.0
"""A peer is in the log so often at most."""
MAX_LINES = 60
"""Lines in that time: peers' names cost nothing, so there may be any number of them."""


class Wrongs:
    """Who showed what was not right.

    Arguments:
        metrics: where they are counted.
        now: seconds of a monotonic clock.
    """

    def __init__(self, metrics: Metrics, now: Callable[[], float]) -> None:
        self._failures = metrics.auth_failures
        self._now = now
        self._told: OrderedDict[str, float] = OrderedDict()

    def saw(self, reason: Reason, peer: str) -> None:
        """One more; `peer` is empty for this node's own socket."""
        self._failures.labels(reason).inc()
        now = self._now()
        while self._told and next(iter(self._told.values())) <= now - QUIET_SECONDS:
            self._told.popitem(last=False)
        if peer in self._told or len(self._told) >= MAX_LINES:
            return
        self._told[peer] = now
        log.warning(
            "refused for a wrong %s: %s; more of it is counted, and not told for %.0f s",
            reason, _who(peer), QUIET_SECONDS,
        )  # fmt: skip


def _who(peer: str) -> str:
    if peer.startswith(WEB):
        return f"a browser at {peer.removeprefix(WEB) or 'this machine'}"
    return f"the peer {peer}" if peer else "somebody on this machine"

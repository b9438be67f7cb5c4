"""What the peers did in the last hour and day, as the node last told it. Knows no widget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiplat.control import calls
from aiplat.control.series import SeriesReply
from aiplat.domain.errors import AiplatError
from aiplat.domain.ids import Role
from aiplat.tui.link import Link
from aiplat.tui.peers.figures import Figures, asks, figures_of

EVERY_SECONDS: Final = 30.0
"""Between two questions."""


class History:
    """The figures of all peers.

    Arguments:
        link: asks the node.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._told: tuple[SeriesReply, SeriesReply] | None = None
        self._asked_at: float | None = None
        self._fault = ""

    def forget(self) -> None:
        """Another node is there: what the one before told is not its."""
        self._told, self._asked_at, self._fault = None, None, ""

    def take_turn(self, monotonic: float) -> bool:
        """Whether it is time to ask; then the next time is later."""
        if self._asked_at is not None and monotonic - self._asked_at < EVERY_SECONDS:
            return False
        self._asked_at = monotonic
        return True

    async def ask(self, now: float, roles: Sequence[Role]) -> None:
        """Ask; a fault is kept as `problem`.

        Arguments:
            now: seconds since 1970.
            roles: of this node.
        """
        hour, day = asks(now, roles)
        try:
            self._told = (
                await self._link.call(calls.series(hour)), await self._link.call(calls.series(day)),
            )  # fmt: skip
            self._fault = ""
        except AiplatError as fault:
            self._fault = f"No figures: {fault}"

    def of(self, peer: str, now: float) -> tuple[Figures, ...]:
        """One peer's; nothing while none are known."""
        if self._told is None:
            return ()
        hour, day = self._told
        return (
            figures_of(hour, peer, "last hour", now), figures_of(day, peer, "last day ", now),
        )  # fmt: skip

    @property
    def problem(self) -> str:
        """Why there are none, or fewer than there were; empty where all is well."""
        if self._fault or self._told is None:
            return self._fault
        return self._told[0].problem or self._told[1].problem

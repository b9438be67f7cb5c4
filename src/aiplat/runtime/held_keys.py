"""The API keys that this node shows to gateways: read from the keyring in threads, kept in memory.

For each request the right one must be there at once; the keyring takes milliseconds, or hangs. So
they are read before the first request, and again when one was made or forgotten. A request never
leaves without the key that is kept for its gateway: there it would count for somebody else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import trio

from aiplat.credentials.credentials import Credentials
from aiplat.domain.errors import AiplatError, NotReady
from aiplat.domain.ids import PeerId, short
from aiplat.roles.key_pins import is_key_of

log = logging.getLogger("aiplat.runtime")

AGAIN_SECONDS = 10.0
"""After the keyring could not be read: a person may have unlocked it meanwhile."""


class _Keys(NamedTuple):
    """What was read; `broken` says why nothing could be."""

    keys: dict[PeerId, str]
    problems: dict[PeerId, str]
    broken: str = ""

    @property
    def texts(self) -> list[str]:
        """All that is wrong."""
        return sorted({self.broken, *self.problems.values()} - {""})


class HeldKeys:
    """Which key each gateway may receive.

    Arguments:
        credentials: where they lie.
        own: the key of this process's environment, which comes before those; empty without one.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        credentials: Credentials,
        own: str = "",
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self._credentials = credentials
        self._own = own
        self._now = now
        self._read = _Keys({}, {})
        self._lock = trio.Lock()
        self._is_read = False
        self._tried_at = float("-inf")

    def for_gateway(self, gateway: PeerId) -> str:
        """The key that it may receive; empty where there is none.

        Raises:
            NotReady: there is one, which cannot be read now.
        """
        if self._own and is_key_of(self._own, gateway):
            return self._own
        problem = self._read.broken or self._read.problems.get(gateway)
        if problem:
            raise NotReady(
                f"The API key that is kept for the gateway {short(gateway)} cannot be read. "
                f"{problem}",
                retry_after=AGAIN_SECONDS,
            )
        return self._read.keys.get(gateway, "")

    async def ready(self) -> None:
        """Have read them; at once when that was done, or was tried a moment ago."""
        if not self._is_read:
            async with self._lock:  # somebody may be at it
                if self._is_due():
                    await self._refresh()

    def _is_due(self) -> bool:
        return not self._is_read and self._now() - self._tried_at >= AGAIN_SECONDS

    async def refresh(self) -> None:
        """Read them anew. What cannot be read is said in the log, and to who asks for it."""
        async with self._lock:
            await self._refresh()

    async def _refresh(self) -> None:
        self._read = await trio.to_thread.run_sync(_read, self._credentials)
        self._tried_at = self._now()
        self._is_read = not self._read.texts
        for text in self._read.texts:
            log.warning("an API key cannot be read: %s", text)


def _read(credentials: Credentials) -> _Keys:
    try:
        gateways = {g for held in credentials.held() if held.kind == "key" for g in held.gateways}
    except AiplatError as problem:
        return _Keys({}, {}, str(problem))
    found = _Keys({}, {})
    for gateway in sorted(gateways):
        try:
            known = credentials.for_gateway(gateway, "key")
        except AiplatError as problem:  # the others' may be good
            found.problems[gateway] = str(problem)
            continue
        if known is not None:
            found.keys[gateway] = known.secret
    return found

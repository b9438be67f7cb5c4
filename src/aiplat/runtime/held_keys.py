"""The API keys that this node shows to gateways: read from the keyring in threads, kept in memory.

For each request the right one must be there at once; the keyring takes milliseconds, or hangs. So
they are read at the start, and again when one was made or forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from aiplat.credentials.credentials import Credentials
from aiplat.domain.errors import AiplatError
from aiplat.domain.ids import PeerId
from aiplat.roles.key_pins import is_key_of

log = logging.getLogger("aiplat.runtime")

AGAIN_SECONDS = 60.0
"""After the keyring could not be read: a person may have unlocked it meanwhile."""


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
        self._keys: dict[PeerId, str] = {}
        self._lock = trio.Lock()
        self._is_read = False
        self._tried_at = float("-inf")

    def for_gateway(self, gateway: PeerId) -> str:
        """The key that it may receive; empty where there is none."""
        if self._own and is_key_of(self._own, gateway):
            return self._own
        return self._keys.get(gateway, "")

    async def ready(self) -> None:
        """Have read them; at once when that was done, or was tried a moment ago."""
        if not self._is_read and self._now() - self._tried_at >= AGAIN_SECONDS:
            await self.refresh()

    async def refresh(self) -> None:
        """Read them anew. What cannot be read is said in the log, and is not there."""
        async with self._lock:
            self._tried_at = self._now()
            self._keys, problem = await trio.to_thread.run_sync(self._read)
            self._is_read = not problem
            if problem:
                log.warning("an API key cannot be read: %s", problem)

    def _read(self) -> tuple[dict[PeerId, str], str]:
        keys: dict[PeerId, str] = {}
        try:
            gateways = {g for held in self._credentials.held() if held.kind == "key"
                        for g in held.gateways}  # fmt: skip
        except AiplatError as problem:
            return keys, str(problem)
        problems: list[str] = []
        for gateway in sorted(gateways):
            try:
                found = self._credentials.for_gateway(gateway, "key")
            except AiplatError as problem:  # the others' may be good
                problems.append(str(problem))
                continue
            if found is not None:
                keys[gateway] = found.secret
        return keys, " ".join(problems)

"""What was used, told; and the database behind it, copied and checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from aiplat.accounts import offline
from aiplat.accounts import usage as used
from aiplat.accounts.admission import PEER
from aiplat.accounts.callers import Caller
from aiplat.accounts.house import House, note
from aiplat.control.accounts import BackupWish, Nothing, StoreCheck, UsageAsk, UsageReply
from aiplat.control.messages import Done
from aiplat.domain.errors import PermissionDenied, clip
from aiplat.domain.ids import PeerId, short


class Books:
    """What is asked of them. Each method is one of `METHODS`, for a caller that may.

    Arguments:
        house: what all parts share.
        database: the file.
        written: waits until what was counted so far is in it.
    """

    def __init__(
        self, house: House, database: Path, written: Callable[[], Awaitable[None]]
    ) -> None:
        self._house = house
        self._database = database
        self._written = written

    async def usage(self, caller: Caller, wish: UsageAsk) -> UsageReply:
        """One's usage; for operators another's, or everyone's."""
        used.check(wish)
        user: str | None = self._house.whose(caller, wish.user).id
        if wish.everyone:
            if not caller.is_operator:
                raise PermissionDenied(
                    "Only an operator of the gateway sees everyone's usage, with a key only by the "
                    "scope admin."
                )
            user = None
        return await self._house.readers.read(
            lambda connection: used.ask(connection, wish, user, self._house.wall(), self._key_name)
        )

    def _key_name(self, key: str) -> str:
        directory = self._house.directory
        known = directory.keys.get(key)
        if known is None:
            if key.startswith(PEER):
                return f"no key (peer {short(PeerId(key.removeprefix(PEER)))})"
            payer = directory.users.get(key)
            return key if payer is None else f"no key ({payer.name})"
        rotated = " until rotated" if known.replaced_by else ""
        return f"{known.name} ({known.user.name}){rotated}"

    async def backup(self, caller: Caller, wish: BackupWish) -> Done:
        """Copy the database."""
        await self._written()
        done = await trio.to_thread.run_sync(offline.backup, self._database, Path(wish.path))
        now, detail = self._house.now(), clip(wish.path, 500)
        await self._house.writer.change(
            lambda connection: note(connection, now, caller, "db.backup", detail=detail)
        )
        return done

    async def check(self, caller: Caller, wish: Nothing) -> StoreCheck:
        """Look through it."""
        return await trio.to_thread.run_sync(offline.check, self._database)

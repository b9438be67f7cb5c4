"""A node's settings, for its operators: who may see and change them, and that it is written down.

What they are, and what follows from a change, the node knows (`Tunable`): accounts do not.
"""

from __future__ import annotations

from typing import Protocol

import trio

from aiplat.accounts.callers import Caller
from aiplat.accounts.house import House, note
from aiplat.control.running import (
    SettingList,
    SettingName,
    SettingsAsk,
    SettingStatus,
    SettingWish,
)
from aiplat.domain.errors import NotReady, clip


class Tunable(Protocol):
    """The settings of a node that runs."""

    def listed(self, *, changing: bool) -> tuple[SettingStatus, ...]:
        """All, or those that can be changed now."""

    def check(self, name: str, value: str | None) -> None:
        """See that one can have that value, or with None be as it was at the start.

        Raises:
            InvalidRequest: there is no such setting, it cannot be changed, or not to that.
        """

    async def change(self, name: str, value: str | None) -> SettingStatus:
        """Have it so, now and after restarts; what `check` lets through.

        Raises:
            ConfigError: it cannot be kept; then nothing was changed.
        """


class Tuning:
    """What operators do with settings. Each method is one of `METHODS`.

    Arguments:
        house: what all parts share.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._turn = trio.Lock()
        self.tunable: Tunable | None = None

    async def list(self, caller: Caller, wish: SettingsAsk) -> SettingList:
        """The settings."""
        return SettingList(settings=self._there().listed(changing=wish.changing))

    async def set(self, caller: Caller, wish: SettingWish) -> SettingStatus:
        """Give one another value."""
        return await self._change(caller, wish.name, wish.value)

    async def reset(self, caller: Caller, wish: SettingName) -> SettingStatus:
        """Let one be what it was at the start."""
        return await self._change(caller, wish.name, None)

    async def _change(self, caller: Caller, name: str, value: str | None) -> SettingStatus:
        tunable = self._there()
        async with self._turn:
            tunable.check(name, value)
            action, detail = ("reset", "") if value is None else ("set", clip(value, 200))
            now = self._house.now()
            # First, so that none is changed unseen; one that then cannot be kept is seen too.
            await self._house.writer.change(
                lambda connection: note(connection, now, caller, f"setting.{action}", name, detail)
            )
            return await tunable.change(name, value)

    def _there(self) -> Tunable:
        if self.tunable is None:
            raise NotReady("This gateway starts: its settings cannot be changed yet.")
        return self.tunable

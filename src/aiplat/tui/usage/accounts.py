"""What the gateway's accounts tell: who one is there, one's keys, what was used.

Asks, and knows no widget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiplat.control import calls
from aiplat.control.accounts import (
    KeyList,
    KeysAsk,
    KeyStatus,
    Nothing,
    UsageAsk,
    UsageBy,
    UsageReply,
    WhoAmI,
)
from aiplat.domain.errors import PermissionDenied
from aiplat.tui.keys.words import is_operator
from aiplat.tui.link import Link
from aiplat.tui.usage.bars import Limit, limits_of


@dataclass(frozen=True)
class Known:
    """Who one is at the gateway, as far as it told.

    Arguments:
        who: None where it did not.
        keys: everyone's for an operator, else one's own; of who came with a key that may not ask
            for them, that key.
    """

    who: WhoAmI | None = None
    keys: tuple[KeyStatus, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def sees_all(self) -> bool:
        """Whether others' usage may be asked for, too."""
        return self.who is not None and is_operator(self.who)

    def limits(self, now: float) -> list[Limit]:
        """One's own limits.

        Arguments:
            now: seconds since 1970.
        """
        if self.who is None:
            return []
        name = self.who.user.name
        return limits_of(self.who, (key for key in self.keys if key.user == name), now)


async def look(link: Link) -> Known:
    """Ask who one is and for the keys.

    Raises:
        AiplatError: the gateway does not say who one is, or is not there.
    """
    who = await link.call(calls.accounts("whoami", Nothing(), WhoAmI))
    wish = KeysAsk(everyone=is_operator(who))
    try:
        keys = (await link.call(calls.accounts("keys.list", wish, KeyList))).keys
    except PermissionDenied:  # a key without the scope admin; it has limits all the same
        keys = () if who.key is None else (who.key,)
    return Known(who, keys, {key.id: key.name for key in keys})


async def usage(link: Link, seconds: int, by: UsageBy, known: Known) -> UsageReply:
    """Ask what was used: by all, where that may be asked.

    Raises:
        AiplatError: the gateway does not tell, or is not there.
    """
    ask = UsageAsk(since_seconds=seconds, by=by, everyone=known.sees_all)
    return await link.call(calls.accounts("usage", ask, UsageReply))

"""What a person in front of the node's page asks of its accounts: by a log-in, and no other way.

Nobody is the owner here by being on this machine: any program or page of it could ask.
"""

from __future__ import annotations

import msgspec

from aiplat.accounts.accounts import Accounts
from aiplat.accounts.secret_forms import take_apart
from aiplat.control.accounts import METHODS
from aiplat.control.sessions import WEB
from aiplat.domain.errors import NotReady
from aiplat.http.sources import source_of


class PageDesk:
    """Asks this node's own gateway.

    Arguments:
        accounts: its; None where the node is no gateway.
    """

    def __init__(self, accounts: Accounts | None) -> None:
        self._accounts = accounts
        self.asked = 0

    async def answer(
        self, method: str, wish: msgspec.Struct, session: str, address: str
    ) -> msgspec.Struct:
        """Ask (`NodeOperations.accounts_here`)."""
        if self._accounts is None:
            raise NotReady(
                "This node is no gateway and has no accounts: its page is for nobody. Open the "
                "page of its gateway."
            )
        if session and METHODS[method].need != "nobody":
            take_apart(session, "ses")
        self.asked += 1
        return await self._accounts.answer(method, wish, session, WEB + source_of(address))

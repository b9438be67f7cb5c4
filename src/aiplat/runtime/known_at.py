"""At which gateway a person is known from here, and what is shown there for it.

In this order: the API key of the face's environment, the session of a log-in, the operator of one's
own gateway, a key that is kept here. What is there and cannot be read is never left out in silence:
the next in the order would be somebody else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection

import trio

from aiplat.accounts.secret_forms import take_apart
from aiplat.control.accounts import Method
from aiplat.credentials.credentials import Credentials
from aiplat.credentials.errors import NoKeyring, SecretGone
from aiplat.credentials.held import Held
from aiplat.domain.errors import InvalidRequest, NoPeer, NotReady
from aiplat.domain.ids import PeerId, short
from aiplat.node.node import Node
from aiplat.roles.client import Client
from aiplat.roles.key_pins import is_key_of
from aiplat.runtime.held_keys import HeldKeys
from aiplat.runtime.networks import match_peer


class KnownAt:
    """Finds gateway and credential for one call after the other.

    Arguments:
        node: reaches gateways.
        client: knows those that are connected; None for a node that is no client.
        own: this node's own gateway, if it is one.
        credentials: where sessions are kept.
        held: the keys in memory.
    """

    def __init__(
        self,
        node: Node,
        client: Client | None,
        own: PeerId | None,
        credentials: Credentials,
        held: HeldKeys,
    ) -> None:
        self._node = node
        self._client = client
        self._own = own
        self._credentials = credentials
        self._held = held

    async def gateway(self, method: Method, name: str, credential: str) -> PeerId:
        """The gateway that is meant.

        Arguments:
            name: what a person called it: a peer id, its end or an address; empty for none.
            credential: the key of the face's environment, or empty.

        Raises:
            AiplatError: there is none, it is not connected, or it could be several.
        """
        if name.startswith("/"):
            channel = await self._node.reach(name)
            if "gateway" not in channel.roles:
                raise NoPeer(f"The peer {short(channel.peer)} is no gateway.")
            return channel.peer
        if name:
            known = {*self._there, *await self._begun()}  # one logs out where nobody is reached
            return match_peer(name, sorted(known), "gateway that this node is connected to")
        if method.need == "nobody":
            return await self._to_begin_at()
        if credential and method.name != "logout":
            return await self._of_key(credential)
        begun = await self._begun()
        if self._own is not None and (self._own in begun or not begun):
            return self._own
        if begun:
            if method.name == "logout" and len(begun) == 1:
                return next(iter(begun))  # also where nobody is reached
            return await self._logged_in_at(begun)
        return await self._nearest({gateway for held in await self._all_held()
                                    for gateway in held.gateways})  # fmt: skip

    async def token(self, method: Method, gateway: PeerId, credential: str) -> str:
        """What is shown there; nothing at one's own gateway as its owner.

        Raises:
            AiplatError: what is kept for it cannot be read, or the key of the environment is of
                another gateway.
        """
        if method.need == "nobody":
            return ""
        if credential and method.name != "logout":
            take_apart(credential, "sk")
            if not is_key_of(credential, gateway):
                raise NoPeer(
                    f"The API key in AIPLAT_API_KEY is of another gateway than {short(gateway)}, "
                    "and goes to no other than its own. Unset it, or ask its own."
                )
            return credential
        if token := await self.session(gateway):
            return token
        if gateway == self._own:
            return ""
        await self._held.ready()
        return self._held.for_gateway(gateway)

    async def session(self, gateway: PeerId) -> str:
        """The token of the log-in there; empty where there is none.

        Raises:
            NotReady: there is one, which cannot be read.
        """
        try:
            found = await trio.to_thread.run_sync(
                lambda: self._credentials.for_gateway(gateway, "session")
            )
        except (NoKeyring, SecretGone) as problem:
            raise NotReady(
                f"The log-in at the gateway {short(gateway)} cannot be read. {problem} `aiplat "
                "logout` forgets it."
            ) from None
        return "" if found is None else found.secret

    @property
    def _there(self) -> list[PeerId]:
        """Its own gateway, and those that are connected."""
        others = list(self._client.gateways) if self._client is not None else []
        return [*([self._own] if self._own is not None else []), *others]

    async def _all_held(self) -> tuple[Held, ...]:
        return await trio.to_thread.run_sync(self._credentials.held)

    async def _begun(self) -> set[PeerId]:
        """Where somebody is logged in from here."""
        held = await self._all_held()
        return {gateway for one in held if one.kind == "session" for gateway in one.gateways}

    async def _to_begin_at(self) -> PeerId:
        """Who may have a name and a password: the one gateway that there is, or was."""
        if self._own is not None:
            return self._own
        known = {gateway for held in await self._all_held() for gateway in held.gateways}
        nearest = await self._nearest(known)
        there = [gateway for gateway in self._there if gateway in known] or self._there
        if len(there) > 1:
            ends = ", ".join(sorted(map(short, there)))
            raise InvalidRequest(
                f"There are {len(there)} gateways, and a password is for one: say which with "
                f"--gateway ({ends}).",
                param="gateway",
            )
        if known and nearest not in known:
            raise NoPeer(
                f"You are known at {_ends(known)}, which is not connected. Say --gateway to "
                f"send the password to {short(nearest)}."
            )
        return nearest

    async def _of_key(self, credential: str) -> PeerId:
        take_apart(credential, "sk")
        if self._own is not None and is_key_of(credential, self._own):
            return self._own
        with contextlib.suppress(NoPeer):
            nearest = await self._nearest()  # where one is being reached
            for gateway in [nearest, *self._there]:
                if is_key_of(credential, gateway):
                    return gateway
        raise NoPeer(
            "The gateway that made the API key in AIPLAT_API_KEY is not connected, and the key "
            "goes to no other. `aiplat peers` shows who is there; --gateway takes an address."
        )

    async def _logged_in_at(self, begun: Collection[PeerId]) -> PeerId:
        with contextlib.suppress(NoPeer):
            nearest = await self._nearest(begun)
            if nearest in begun:
                return nearest
        raise NoPeer(
            f"You are logged in at {_ends(begun)}, which is not connected: `aiplat doctor` looks "
            "why. Say --gateway to ask another; `aiplat logout` forgets that log-in."
        )

    async def _nearest(self, wanted: Collection[PeerId] = frozenset()) -> PeerId:
        """The nearest that is wanted, if one comes; else the nearest of all."""
        if self._client is None:
            raise NotReady("This node is no client: it reaches no accounts but its own.")
        return (await self._client.nearest(self._node, wanted)).peer


def _ends(gateways: Collection[PeerId]) -> str:
    return "the gateway " + " or ".join(sorted(map(short, gateways)))

"""What this node's faces ask of accounts: at its own gateway, or at one that it reaches.

Also what a person gets there is kept here: a session, a key. Whether it can be kept is seen before
it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec
import trio
from msgspec.structs import replace

from aiplat.accounts.accounts import Accounts
from aiplat.control.accounts import (
    METHODS,
    AccountsCall,
    KeyList,
    KeyName,
    KeyringState,
    KeyRotate,
    KeyStatus,
    KeyWish,
    Method,
    NewKey,
    Nothing,
    Session,
)
from aiplat.control.messages import Done
from aiplat.credentials.credentials import Credentials
from aiplat.credentials.held import Held
from aiplat.domain.errors import (
    AiplatError,
    InvalidApiKey,
    InvalidRequest,
    NoPeer,
    NotReady,
    UserDisabled,
    clip,
)
from aiplat.domain.ids import PeerId, short
from aiplat.node.node import Node
from aiplat.roles.account_calls import ask_elsewhere
from aiplat.roles.client import Client
from aiplat.roles.key_pins import is_key_of
from aiplat.runtime.held_keys import HeldKeys
from aiplat.runtime.keyring_state import keyring_state
from aiplat.runtime.networks import match_peer

CALL_SECONDS = 30.0
"""For a gateway elsewhere: a password's hash waits its turn there."""

Result = TypeVar("Result")


class AccountDesk:
    """Asks, and keeps what comes of it.

    Arguments:
        node: reaches gateways.
        client: knows those that are connected; None for a node that is no client.
        accounts: of this node's own gateway, if it is one.
        credentials: where sessions and keys are kept.
        held: the keys in memory.
        wall: seconds since 1970 (UTC).
    """

    def __init__(
        self,
        node: Node,
        client: Client | None,
        accounts: Accounts | None,
        credentials: Credentials,
        held: HeldKeys,
        wall: Callable[[], float],
    ) -> None:
        self._node = node
        self._client = client
        self._accounts = accounts
        self._credentials = credentials
        self._held = held
        self._wall = wall

    async def answer(self, call: AccountsCall, credential: str) -> msgspec.Struct:
        """Do what a face asks (`NodeOperations.accounts`)."""
        method, wish = _read(call)
        gateway = await self._gateway(call.gateway, credential)
        if method.here and gateway != self._node.peer_id:
            raise InvalidRequest(f"{method.name} is done on the gateway's own machine only.")
        token = await self._token(method, gateway, credential)
        ask = partial(self._ask, gateway, token)
        if method.reply is Session:
            return await self._begin(method, wish, gateway, insecure=call.insecure)
        if isinstance(wish, KeyWish) and wish.store:
            return await self._make_key(ask, method, wish, insecure=wish.insecure)
        if isinstance(wish, KeyRotate):
            return await self._rotate(ask, method, wish)
        if method.name == "logout":
            return await self._log_out(ask, gateway, wish)
        if method.name == "keys.revoke" and isinstance(wish, KeyName):
            status = await ask("keys.show", wish)
            done: Done = await ask(method.name, wish)
            await self._forget("key", status.id)
            return done
        return await self._with_kept(await ask(method.name, wish))

    async def keyring(self) -> KeyringState:
        """Where secrets are kept."""
        return await trio.to_thread.run_sync(keyring_state, self._credentials)

    # -- which gateway, as whom --------------------------------------------------------------

    async def _gateway(self, name: str, credential: str) -> PeerId:
        """The gateway that is meant; of several that are connected the one where one is known."""
        own = self._node.peer_id if self._accounts is not None else None
        if name.startswith("/"):
            channel = await self._node.reach(name)
            if "gateway" not in channel.roles:
                raise NoPeer(f"The peer {short(channel.peer)} is no gateway.")
            return channel.peer
        there = list(self._client.gateways) if self._client is not None else []
        if name:
            known = [*([own] if own else []), *there]
            return match_peer(name, known, "gateway that this node is connected to")
        if own is not None:
            return own
        if self._client is None:
            raise NotReady("This node is neither client nor gateway: it reaches no accounts.")
        if credential:
            there = [peer for peer in there if is_key_of(credential, peer)] or there
        else:
            held = await self._in_thread(self._credentials.held)
            mine = {gateway for one in held if one.kind == "session" for gateway in one.gateways}
            there = [peer for peer in there if peer in mine] or there
        nearest = (await self._client.nearest(self._node)).peer
        return nearest if nearest in there or not there else there[0]

    async def _token(self, method: Method, gateway: PeerId, credential: str) -> str:
        """What is shown there: a session, or a key; nothing at one's own gateway as its owner."""
        if method.need == "nobody":
            return ""
        session = await self._in_thread(lambda: self._credentials.for_gateway(gateway, "session"))
        if session is not None:
            return session.secret
        if gateway == self._node.peer_id:
            return ""
        if credential and is_key_of(credential, gateway):
            return credential
        return self._held.for_gateway(gateway)

    async def _ask(
        self, gateway: PeerId, token: str, name: str, wish: msgspec.Struct
    ) -> Any:  # the reply's struct, by the method's name
        if gateway == self._node.peer_id and self._accounts is not None:
            return await self._accounts.answer(name, wish, token, None)
        channel = self._node.channels.get(gateway)
        if channel is None:
            raise NoPeer(f"The gateway {short(gateway)} is not connected any more: try again.")
        if isinstance(wish, KeyWish | KeyRotate):  # where it is kept is this node's business
            wish = replace(wish, store=False, insecure=False)
        return await ask_elsewhere(channel, name, wish, token, CALL_SECONDS)

    # -- what is kept --------------------------------------------------------------------------

    async def _begin(
        self, method: Method, wish: msgspec.Struct, gateway: PeerId, *, insecure: bool
    ) -> Session:
        await self._in_thread(lambda: self._credentials.check(insecure=insecure))
        session: Session = await self._ask(gateway, "", method.name, wish)
        held = Held(kind="session", id=session.id, name=session.user.name, gateways=(gateway,),
                    user=session.user.name, made=round(self._wall()),
                    expires=session.expires)  # fmt: skip
        try:
            kept = await self._in_thread(
                lambda: self._credentials.keep(held, session.token, insecure=insecure)
            )
        except AiplatError:
            await self._ask(gateway, session.token, "logout", Nothing())
            raise
        others = await self._in_thread(self._credentials.held)
        for other in others:
            if other.kind == "session" and gateway in other.gateways and other.id != session.id:
                await self._forget("session", other.id)
        return replace(session, token="", gateway=gateway, kept=kept.where)

    async def _make_key(
        self, ask: Callable[..., Any], method: Method, wish: KeyWish, *, insecure: bool
    ) -> NewKey:
        await self._in_thread(lambda: self._credentials.check(insecure=insecure))
        made: NewKey = await ask(method.name, wish)
        return await self._keep_key(ask, made, insecure=insecure)

    async def _keep_key(self, ask: Callable[..., Any], made: NewKey, *, insecure: bool) -> NewKey:
        """Keep a key that was just made; one that cannot be kept is revoked again."""
        gateway = PeerId(made.gateway)
        held = Held(kind="key", id=made.id, name=made.name, gateways=(gateway,),
                    user=made.status.user, made=made.status.created,
                    expires=made.status.expires)  # fmt: skip
        try:
            kept = await self._in_thread(
                lambda: self._credentials.keep(held, made.key, insecure=insecure)
            )
        except AiplatError:
            await ask("keys.revoke", KeyName(key=made.id, user=made.status.user))
            raise
        await self._held.refresh()
        return replace(made, kept=kept.where, status=replace(made.status, kept=kept.where))

    async def _rotate(self, ask: Callable[..., Any], method: Method, wish: KeyRotate) -> NewKey:
        if wish.store:
            await self._in_thread(lambda: self._credentials.check(insecure=wish.insecure))
        old: KeyStatus = await ask("keys.show", KeyName(key=wish.key, user=wish.user))
        made: NewKey = await ask(method.name, wish)
        if not wish.store:
            return made
        kept = await self._keep_key(ask, made, insecure=wish.insecure)
        await self._forget("key", old.id)
        return kept

    async def _log_out(
        self, ask: Callable[..., Any], gateway: PeerId, wish: msgspec.Struct
    ) -> msgspec.Struct:
        sessions = [
            held.id for held in await self._in_thread(self._credentials.held)
            if held.kind == "session" and gateway in held.gateways
        ]  # fmt: skip
        if not sessions:
            raise InvalidRequest(
                f"Nobody is logged in at the gateway {short(gateway)} from here.", param="gateway"
            )
        try:
            done: msgspec.Struct = await ask("logout", wish)
        except (InvalidApiKey, UserDisabled):
            done = Done(
                message="The session was over at the gateway already; it is forgotten here."
            )
        finally:  # whatever the gateway says: it is over here
            for session in sessions:
                await self._forget("session", session)
        return done

    async def _forget(self, kind: Any, name: str) -> None:
        await self._in_thread(lambda: self._credentials.forget(kind, name))
        if kind == "key":
            await self._held.refresh()

    async def _with_kept(self, reply: msgspec.Struct) -> msgspec.Struct:
        """Say of keys whether they are kept here."""
        if not isinstance(reply, KeyList | KeyStatus):
            return reply
        held = await self._in_thread(self._credentials.held)
        where = {one.id: one.where for one in held if one.kind == "key"}
        if isinstance(reply, KeyStatus):
            return replace(reply, kept=where.get(reply.id, ""))
        keys = tuple(replace(key, kept=where.get(key.id, "")) for key in reply.keys)
        return replace(reply, keys=keys)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await trio.to_thread.run_sync(work)


def _read(call: AccountsCall) -> tuple[Method, msgspec.Struct]:
    method = METHODS.get(call.method)
    if method is None:
        raise InvalidRequest(f"There is nothing to ask of accounts named {clip(call.method)!r}.")
    try:
        return method, msgspec.json.decode(call.wish, type=method.wish)
    except msgspec.MsgspecError as fault:
        raise InvalidRequest(f"What is asked ({method.name}) cannot be read: {fault}.") from None

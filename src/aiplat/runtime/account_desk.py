"""What this node's faces ask of accounts: at its own gateway, or at one that it reaches.

Also what a person gets there is kept here: a session, a key. Whether it can be kept is seen before
it is made.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import trio
from msgspec.structs import replace

from aiplat.accounts.accounts import Accounts
from aiplat.accounts.secret_forms import id_of
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
    WhoAmI,
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
    PermissionDenied,
    UserDisabled,
    clip,
)
from aiplat.domain.ids import PeerId, short
from aiplat.node.node import Node
from aiplat.roles.account_calls import ask_elsewhere
from aiplat.roles.client import Client
from aiplat.runtime.held_keys import HeldKeys
from aiplat.runtime.keyring_state import keyring_state
from aiplat.runtime.known_at import KnownAt

CALL_SECONDS = 30.0
"""For a gateway elsewhere: a password's hash waits its turn there."""

log = logging.getLogger("aiplat.runtime")


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
        self._accounts = accounts
        self._credentials = credentials
        self._held = held
        self._wall = wall
        own = node.peer_id if accounts is not None else None
        self._known_at = KnownAt(node, client, own, credentials, held)

    async def answer(self, call: AccountsCall, credential: str) -> msgspec.Struct:
        """Do what a face asks (`NodeOperations.accounts`)."""
        method, wish = _read(call)
        gateway = await self._known_at.gateway(method, call.gateway, credential)
        if method.here and gateway != self._node.peer_id:
            raise InvalidRequest(f"{method.name} is done on the gateway's own machine only.")
        if method.name == "logout":
            return await self._log_out(gateway, wish)
        token = await self._known_at.token(method, gateway, credential)
        try:
            return await self._do(call, method, wish, gateway, token)
        except (InvalidApiKey, PermissionDenied) as refusal:
            if not token or token != credential:
                raise
            told = f"{refusal} (AIPLAT_API_KEY is set, and was asked with.)"
            raise type(refusal)(told, param=refusal.param) from None

    async def _do(
        self, call: AccountsCall, method: Method, wish: msgspec.Struct, gateway: PeerId, token: str
    ) -> msgspec.Struct:
        ask = partial(self._ask, gateway, token)
        if method.reply is Session:
            session = await self._begin(method, wish, gateway, insecure=call.insecure)
            if call.gateway.startswith("/"):
                self._node.keep(call.gateway)  # it is asked again, also by the next node here
            return session
        if isinstance(wish, KeyWish | KeyRotate) and wish.store and wish.user:
            raise InvalidRequest(
                "A key of another's account is not kept here, where it would be shown as one's "
                "own: make it with --no-store, and hand it over.",
                param="user",
            )
        if isinstance(wish, KeyWish) and wish.store:
            return await self._make_key(ask, method, wish, insecure=wish.insecure)
        if isinstance(wish, KeyRotate):
            return await self._rotate(ask, method, wish)
        if method.name == "keys.revoke" and isinstance(wish, KeyName):
            return await self._revoke(ask, gateway, wish)
        return await self._with_kept(await ask(method.name, wish))

    async def keyring(self) -> KeyringState:
        """Where secrets are kept."""
        return await trio.to_thread.run_sync(keyring_state, self._credentials)

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
        await trio.to_thread.run_sync(lambda: self._credentials.check(insecure=insecure))
        session: Session = await self._ask(gateway, "", method.name, wish)
        held = Held(kind="session", id=session.id, name=session.user.name, gateways=(gateway,),
                    user=session.user.name, made=round(self._wall()),
                    expires=session.expires)  # fmt: skip
        try:
            kept = await trio.to_thread.run_sync(
                lambda: self._credentials.keep(held, session.token, insecure=insecure)
            )
        except AiplatError:
            await self._ask(gateway, session.token, "logout", Nothing())
            raise
        for other in await trio.to_thread.run_sync(self._credentials.held):
            if other.kind == "session" and gateway in other.gateways and other.id != session.id:
                await self._end(other, gateway)
        return replace(session, token="", gateway=gateway, kept=kept.where)

    async def _end(self, session: Held, gateway: PeerId) -> None:
        """Another took its place: it shall not hold on at the gateway, unseen."""
        try:
            token = await trio.to_thread.run_sync(lambda: self._credentials.secret_of(session))
            await self._ask(gateway, token, "logout", Nothing())
        except AiplatError as problem:
            log.info("an earlier session was not ended at its gateway: %s", problem)
        await self._forget("session", session.id)

    async def _make_key(
        self, ask: Callable[..., Any], method: Method, wish: KeyWish, *, insecure: bool
    ) -> NewKey:
        await trio.to_thread.run_sync(lambda: self._credentials.check(insecure=insecure))
        made: NewKey = await ask(method.name, wish)
        try:
            return await self._keep(made, insecure=insecure)
        except AiplatError:
            await ask("keys.revoke", KeyName(key=made.id, user=made.status.user))
            raise

    async def _keep(self, made: NewKey, *, insecure: bool) -> NewKey:
        held = Held(kind="key", id=made.id, name=made.name, gateways=(PeerId(made.gateway),),
                    user=made.status.user, made=made.status.created,
                    expires=made.status.expires)  # fmt: skip
        kept = await trio.to_thread.run_sync(
            lambda: self._credentials.keep(held, made.key, insecure=insecure)
        )
        await self._held.refresh()
        return replace(made, kept=kept.where, status=replace(made.status, kept=kept.where))

    async def _rotate(self, ask: Callable[..., Any], method: Method, wish: KeyRotate) -> NewKey:
        if wish.store:
            await trio.to_thread.run_sync(lambda: self._credentials.check(insecure=wish.insecure))
        old: KeyStatus = await ask("keys.show", KeyName(key=wish.key, user=wish.user))
        made: NewKey = await ask(method.name, wish)
        if not wish.store:
            return made
        try:
            kept = await self._keep(made, insecure=wish.insecure)
        except AiplatError as problem:  # the old one ends, so this one must not be lost
            return replace(made, not_kept=str(problem))
        await self._forget("key", old.id)
        return kept

    async def _revoke(self, ask: Callable[..., Any], gateway: PeerId, wish: KeyName) -> Done:
        """By its name every secret of it is revoked, and all that are kept here are forgotten."""
        status: KeyStatus = await ask("keys.show", wish)
        done: Done = await ask("keys.revoke", wish)
        is_one = status.id in (wish.key, id_of(wish.key, "sk"))
        for held in await trio.to_thread.run_sync(self._credentials.held):
            is_it = held.id == status.id or (
                not is_one and (held.name, held.user) == (status.name, status.user)
            )
            if held.kind == "key" and gateway in held.gateways and is_it:
                await self._forget("key", held.id)
        return done

    async def _log_out(self, gateway: PeerId, wish: msgspec.Struct) -> msgspec.Struct:
        """Whatever the gateway and the keyring say: here the session is over."""
        sessions = [
            held.id for held in await trio.to_thread.run_sync(self._credentials.held)
            if held.kind == "session" and gateway in held.gateways
        ]  # fmt: skip
        if not sessions:
            raise InvalidRequest(
                f"Nobody is logged in at the gateway {short(gateway)} from here.", param="gateway"
            )
        try:
            token = await self._known_at.session(gateway)
            done: msgspec.Struct = await self._ask(gateway, token, "logout", wish)
        except (InvalidApiKey, UserDisabled):
            done = Done(
                message="The session was over at the gateway already; it is forgotten here."
            )
        except (NotReady, NoPeer) as problem:
            done = Done(
                message="The session is forgotten here. The gateway was not told, and it ends "
                f"there by itself: {problem}"
            )
        finally:
            for session in sessions:
                await self._forget("session", session)
        return done

    async def _forget(self, kind: Any, name: str) -> None:
        await trio.to_thread.run_sync(lambda: self._credentials.forget(kind, name))
        if kind == "key":
            await self._held.refresh()

    async def _with_asker(self, me: WhoAmI) -> WhoAmI:
        gateway = PeerId(me.gateway)
        key = await trio.to_thread.run_sync(lambda: self._credentials.listed_for(gateway, "key"))
        if key is None or gateway == self._node.peer_id:
            return me
        return replace(me, asks_by=f"the key {key.name} of {key.user}")

    async def _with_kept(self, reply: msgspec.Struct) -> msgspec.Struct:
        """Say of keys whether they are kept here, and by which one prompts are asked."""
        if isinstance(reply, WhoAmI):
            return await self._with_asker(reply)
        if not isinstance(reply, KeyList | KeyStatus):
            return reply
        held = await trio.to_thread.run_sync(self._credentials.held)
        where = {one.id: one.where for one in held if one.kind == "key"}
        if isinstance(reply, KeyStatus):
            return replace(reply, kept=where.get(reply.id, ""))
        keys = tuple(replace(key, kept=where.get(key.id, "")) for key in reply.keys)
        return replace(reply, keys=keys)


def _read(call: AccountsCall) -> tuple[Method, msgspec.Struct]:
    method = METHODS.get(call.method)
    if method is None:
        raise InvalidRequest(f"There is nothing to ask of accounts named {clip(call.method)!r}.")
    try:
        return method, msgspec.json.decode(call.wish, type=method.wish)
    except msgspec.MsgspecError as fault:
        raise InvalidRequest(f"What is asked ({method.name}) cannot be read: {fault}.") from None

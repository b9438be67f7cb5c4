"""API keys: made, shown, rotated and revoked. The secret is told once and kept nowhere here."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Literal

import msgspec
import trio

from aiplat.accounts.callers import Caller
from aiplat.accounts.directory import LIMIT_COLUMNS, Key, User, columns_of
from aiplat.accounts.house import House, is_there, note
from aiplat.accounts.names import key_name
from aiplat.accounts.refusals import disabled, revoked
from aiplat.accounts.secret_forms import Secret, id_of, new_secret
from aiplat.control.accounts import (
    KeyList,
    KeyName,
    KeyRotate,
    KeysAsk,
    KeyStatus,
    KeyWish,
    NewKey,
)
from aiplat.control.messages import Done
from aiplat.domain.accounts import SCOPES, check_limits
from aiplat.domain.errors import InvalidRequest, PermissionDenied, clip

MAX_MODELS = 50
MAX_MODEL_CHARS = 200
LEAST_SECONDS = 60
MAX_SECONDS = 10 * 366 * 86_400
MAX_OVERLAP = 30 * 86_400
MAX_LISTED = 1000
_LIMITS = ", ".join(LIMIT_COLUMNS)
State = Literal["active", "rotated", "expired", "revoked"]


class Keys:
    """What is done with keys. Each method is one of `METHODS`, for a caller that may.

    Arguments:
        house: what all parts share.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._making: Counter[str] = Counter()
        """Keys by their user that are being written: they count as if they were there."""
        self._turn = trio.Lock()
        """Of rotations and revocations: what is revoked by its name must not have a successor that
        is being written."""

    async def create(self, caller: Caller, wish: KeyWish) -> NewKey:
        """Make a key."""
        user = self._house.whose(caller, wish.user)
        name, folded = key_name(wish.name)
        _check(wish)
        self._check_room(user)
        now = self._house.now()
        expires = 0 if wish.expires_seconds is None else now + wish.expires_seconds
        whole, secret = new_secret("sk", self._house.gateway)
        scopes = tuple(scope for scope in SCOPES if scope in wish.scopes)
        key = Key(secret.id, user, name, folded, secret.hash, scopes,
                  tuple(dict.fromkeys(wish.models)), now, expires, limits=wish.limits)  # fmt: skip

        _check_no_more(caller, key)
        gone = self._forgotten(user)

        def write(connection: sqlite3.Connection) -> None:
            if not is_there(connection, user):  # since it was looked at
                raise disabled(user)
            _insert(connection, key)
            _remove(connection, gone)
            note(connection, now, caller, "key.create", key.id, _detail(key))

        def follow(_: None) -> None:
            self._has_come(key, gone)

        self._making[user.id] += 1
        try:
            await self._house.writer.change(write, follow)
        except sqlite3.IntegrityError:
            raise InvalidRequest(
                f"The account {user.name!r} has a key {clip(name)!r} already: choose another name, "
                "or `aiplat keys rotate` it.",
                param="name",
            ) from None
        finally:
            self._making[user.id] -= 1
            self._making += Counter()  # without those that are none
        return self._made(whole, key)

    def _check_room(self, user: User, state: State = "active") -> None:
        most = self._house.settings.max_keys_per_user
        there = sum(self._state(key) == state for key in user.keys.values())
        if there + self._making[user.id] >= most:
            what = "that hold" if state == "active" else "that were rotated and still hold"
            raise InvalidRequest(
                f"The account {user.name!r} has {most} keys {what}, which is the bound "
                "(accounts.max_keys_per_user): revoke one first."
            )

    def _forgotten(self, user: User) -> list[Key]:
        """The keys that ended first, as far as there are more of those than may hold."""
        ended = [key for key in user.keys.values() if self._state(key) in ("revoked", "expired")]
        ended.sort(key=lambda key: key.revoked or key.expires)
        return ended[: max(0, len(ended) - self._house.settings.max_keys_per_user)]

    def _has_come(self, key: Key, gone: list[Key]) -> None:
        for one in gone:
            self._house.directory.remove_key(one)
        self._house.directory.add_key(key)

    async def rotate(self, caller: Caller, wish: KeyRotate) -> NewKey:
        """Put a new secret in a key's place. The old one holds for a while beside it.

        It expires as long after this moment as the old one did after its making. Both have the
        limits of one between them.
        """
        if not 0 <= wish.overlap_seconds <= MAX_OVERLAP:
            raise InvalidRequest(
                f"The overlap is from 0 to {MAX_OVERLAP} seconds (30 days), not "
                f"{wish.overlap_seconds}.",
                param="overlap",
            )
        user = self._house.whose(caller, wish.user)
        async with self._turn:
            return await self._rotate(caller, user, wish)

    async def _rotate(self, caller: Caller, user: User, wish: KeyRotate) -> NewKey:
        old = self._house.key(wish.key, user)
        now = self._house.now()
        if old.revoked or old.replaced_by:
            gone = "revoked" if old.revoked else "rotated already"
            raise InvalidRequest(f"The key {clip(wish.key)!r} is {gone}.", param="key")
        if wish.overlap_seconds:
            self._check_room(user, "rotated")
        whole, secret = new_secret("sk", self._house.gateway)
        key = _successor(old, secret, now)
        if caller.key is not None and caller.key.expires:  # by a key nothing holds longer
            key.expires = min(key.expires or caller.key.expires, caller.key.expires)
        _check_no_more(caller, key)
        ends = now + wish.overlap_seconds
        ends = min(ends, old.expires) if old.expires else ends
        forgotten = [one for one in self._forgotten(user) if one is not old]

        def write(connection: sqlite3.Connection) -> None:
            done = connection.execute(
                "UPDATE keys SET replaced_by = ?, expires = ? "
                "WHERE id = ? AND revoked = 0 AND replaced_by = ''",
                (key.id, ends, old.id),
            )
            if done.rowcount != 1:
                raise InvalidRequest(
                    f"The key {clip(wish.key)!r} was rotated or revoked meanwhile.", param="key"
                )
            _insert(connection, key)
            _remove(connection, forgotten)
            note(connection, now, caller, "key.rotate", key.id, f"of {old.id}")

        def follow(_: None) -> None:
            old.replaced_by, old.expires = key.id, ends
            self._has_come(key, forgotten)

        await self._house.writer.change(write, follow)
        return self._made(whole, key)

    async def revoke(self, caller: Caller, wish: KeyName) -> Done:
        """End a key now, and with it what it has under way.

        By its name that is every secret that it has: the one in use, and those that it was rotated
        from and that hold still.
        """
        user = self._house.whose(caller, wish.user)
        async with self._turn:
            return await self._revoke(caller, user, wish)

    async def _revoke(self, caller: Caller, user: User, wish: KeyName) -> Done:
        key = self._house.key(wish.key, user)
        keys = [key]
        if key.id not in (wish.key, id_of(wish.key, "sk")):
            keys = [one for one in user.keys.values() if one.name == key.name]
        keys = [one for one in keys if not one.revoked]
        if not keys:
            return Done(message=f"The key {key.name!r} ({key.id}) was revoked before.")
        now = self._house.now()

        def write(connection: sqlite3.Connection) -> None:
            for one in keys:
                connection.execute("UPDATE keys SET revoked = ? WHERE id = ?", (now, one.id))
                note(connection, now, caller, "key.revoke", one.id, one.name)

        def follow(_: None) -> None:
            ended = {one.id for one in keys}
            for one in keys:
                one.revoked = now
            self._house.ends(lambda lease: lease.key in ended, revoked(key))

        await self._house.writer.change(write, follow)
        ids = ", ".join(one.id for one in keys)
        return Done(message=f"The key {key.name!r} ({ids}) is revoked: it holds no more.")

    async def list(self, caller: Caller, wish: KeysAsk) -> KeyList:
        """One's keys, or for operators others'."""
        if wish.everyone:
            if not caller.is_operator:
                raise PermissionDenied("Only an operator of the gateway sees everyone's keys.")
            keys = list(self._house.directory.keys.values())
        else:
            keys = list(self._house.whose(caller, wish.user).keys.values())
        if not wish.ended:
            keys = [key for key in keys if self._state(key) in ("active", "rotated")]
        keys.sort(key=lambda key: -key.created)
        told = tuple(self.told(key) for key in keys[:MAX_LISTED])
        return KeyList(keys=told, more=len(keys) - len(told))

    async def show(self, caller: Caller, wish: KeyName) -> KeyStatus:
        """One key."""
        return self.told(self._house.key(wish.key, self._house.whose(caller, wish.user)))

    def told(self, key: Key) -> KeyStatus:
        """A key, as it is shown."""
        return KeyStatus(
            id=key.id, name=key.name, user=key.user.name, scopes=key.scopes,
            state=self._state(key), models=key.models, created=key.created, expires=key.expires,
            revoked=key.revoked, last_used=key.last_used, limits=key.limits,
            used_this_month=self._house.used_this_month(key.subjects[0].id),
        )  # fmt: skip

    def _state(self, key: Key) -> State:
        if key.revoked:
            return "revoked"
        if 0 < key.expires <= self._house.wall():
            return "expired"
        return "rotated" if key.replaced_by else "active"

    def _made(self, whole: str, key: Key) -> NewKey:
        return NewKey(
            id=key.id, name=key.name, key=whole, status=self.told(key), gateway=self._house.gateway
        )


def _check(wish: KeyWish) -> None:
    """Raise `InvalidRequest` for the first thing that cannot be."""
    if not wish.scopes:
        raise InvalidRequest(f"A key needs a scope: {', '.join(SCOPES)}.", param="scopes")
    if len(wish.models) > MAX_MODELS:
        raise InvalidRequest(
            f"A key may name {MAX_MODELS} models, but {len(wish.models)} were given.",
            param="models",
        )
    for model in wish.models:
        if not 1 <= len(model) <= MAX_MODEL_CHARS or not model.isprintable():
            raise InvalidRequest(
                f"A model's name has 1 to {MAX_MODEL_CHARS} printable characters, but is "
                f"{clip(model)!r}.",
                param="models",
            )
    if wish.expires_seconds is not None and not (
        LEAST_SECONDS <= wish.expires_seconds <= MAX_SECONDS
    ):
        raise InvalidRequest(
            f"A key holds from {LEAST_SECONDS} to {MAX_SECONDS} seconds (ten years), or for ever, "
            f"not {wish.expires_seconds}.",
            param="expires",
        )
    check_limits(wish.limits)


def _check_no_more(caller: Caller, key: Key) -> None:
    """Raise `PermissionDenied` when a key would hand out one that may more, or longer, than itself.

    What all keys of one user come to together is bounded by the user's limits alone.
    """
    own = caller.key
    if own is None:
        return
    no_more = "A key makes no key that may more than itself:"
    if not set(key.scopes) <= set(own.scopes):
        raise PermissionDenied(f"{no_more} {own.name!r} has the scopes {', '.join(own.scopes)}.")
    if own.models and not (key.models and set(key.models) <= set(own.models)):
        raise PermissionDenied(
            f"{no_more} {own.name!r} may ask {', '.join(own.models[:5])} alone (--model)."
        )
    if own.expires and not 0 < key.expires <= own.expires:
        raise PermissionDenied(
            f"A key makes no key that holds longer than itself: {own.name!r} does for "
            f"{own.expires - key.created} seconds more (--expires)."
        )
    for name in LIMIT_COLUMNS:
        most, wanted = getattr(own.limits, name), getattr(key.limits, name)
        if most is not None and (wanted is None or wanted > most):
            raise PermissionDenied(
                f"{no_more} {own.name!r} has a limit of {most} {name.replace('_', ' ')}, and the "
                "new one needs one that is no higher."
            )


def _remove(connection: sqlite3.Connection, keys: list[Key]) -> None:
    """Forget keys, and in the audit log what they were called: nobody can tell whose they were."""
    names = [(key.id,) for key in keys]
    connection.executemany("DELETE FROM keys WHERE id = ?", names)
    connection.executemany("UPDATE audit SET detail = '' WHERE target = ?", names)


def _insert(connection: sqlite3.Connection, key: Key) -> None:
    connection.execute(
        "INSERT INTO keys (id, user, name, folded, hash, scopes, models, created, expires, "
        f"{_LIMITS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (key.id, key.user.id, key.name, key.folded, key.hash,
         msgspec.json.encode(key.scopes).decode(), msgspec.json.encode(key.models).decode(),
         key.created, key.expires, *columns_of(key.limits)),
    )  # fmt: skip


def _successor(old: Key, secret: Secret, now: int) -> Key:
    expires = now + old.expires - old.created if old.expires else 0
    return Key(secret.id, old.user, old.name, old.folded, secret.hash, old.scopes, old.models, now,
               expires, limits=old.limits, counts_as=old.counts_as)  # fmt: skip


def _detail(key: Key) -> str:
    return f"{key.name}: {', '.join(key.scopes)}"

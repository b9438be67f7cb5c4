"""API keys: made, shown, rotated and revoked. The secret is told once and kept nowhere here."""

from __future__ import annotations

import sqlite3

import msgspec

from aiplat.accounts.admission import revoked
from aiplat.accounts.callers import Caller
from aiplat.accounts.directory import LIMIT_COLUMNS, Key, User, columns_of
from aiplat.accounts.house import House, note
from aiplat.accounts.names import key_name
from aiplat.accounts.secret_forms import Secret, new_secret
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


class Keys:
    """What is done with keys. Each method is one of `METHODS`, for a caller that may.

    Arguments:
        house: what all parts share.
    """

    def __init__(self, house: House) -> None:
        self._house = house

    async def create(self, caller: Caller, wish: KeyWish) -> NewKey:
        """Make a key."""
        user = self._house.whose(caller, wish.user)
        name, folded = key_name(wish.name)
        _check(wish)
        if caller.key is not None and not set(wish.scopes) <= set(caller.key.scopes):
            raise PermissionDenied(
                f"A key makes no key that may more than itself: {caller.key.name!r} has the scopes "
                f"{', '.join(caller.key.scopes)}."
            )
        self._check_room(user)
        now = self._house.now()
        expires = 0 if wish.expires_seconds is None else now + wish.expires_seconds
        whole, secret = new_secret("sk", self._house.gateway)
        scopes = tuple(scope for scope in SCOPES if scope in wish.scopes)
        key = Key(secret.id, user, name, folded, secret.hash, scopes,
                  tuple(dict.fromkeys(wish.models)), now, expires, limits=wish.limits)  # fmt: skip

        def write(connection: sqlite3.Connection) -> None:
            _insert(connection, key)
            note(connection, now, caller, "key.create", key.id, _detail(key))

        try:
            await self._house.writer.change(write)
        except sqlite3.IntegrityError:
            raise InvalidRequest(
                f"The account {user.name!r} has a key {clip(name)!r} already: choose another name, "
                "or `aiplat keys rotate` it.",
                param="name",
            ) from None
        self._house.directory.add_key(key)
        return self._made(whole, key)

    def _check_room(self, user: User) -> None:
        most = self._house.settings.max_keys_per_user
        now = self._house.now()
        if (
            sum(not key.revoked and not 0 < key.expires <= now for key in user.keys.values())
            >= most
        ):
            raise InvalidRequest(
                f"The account {user.name!r} has {most} keys that hold, which is the bound "
                "(accounts.max_keys_per_user): revoke one first."
            )

    async def rotate(self, caller: Caller, wish: KeyRotate) -> NewKey:
        """Put a new secret in a key's place. The old one holds for a while beside it.

        It expires as long after this moment as the old one did after its making.
        """
        if not 0 <= wish.overlap_seconds <= MAX_OVERLAP:
            raise InvalidRequest(
                f"The overlap is from 0 to {MAX_OVERLAP} seconds (30 days), not "
                f"{wish.overlap_seconds}.",
                param="overlap",
            )
        user = self._house.whose(caller, wish.user)
        old = self._house.key(wish.key, user)
        now = self._house.now()
        if old.revoked or old.replaced_by:
            gone = "revoked" if old.revoked else "rotated already"
            raise InvalidRequest(f"The key {clip(wish.key)!r} is {gone}.", param="key")
        whole, secret = new_secret("sk", self._house.gateway)
        key = _successor(old, secret, now)
        ends = now + wish.overlap_seconds
        ends = min(ends, old.expires) if old.expires else ends

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE keys SET replaced_by = ?, expires = ? WHERE id = ?", (key.id, ends, old.id)
            )
            _insert(connection, key)
            note(connection, now, caller, "key.rotate", key.id, f"of {old.id}")

        await self._house.writer.change(write)
        old.replaced_by, old.expires = key.id, ends
        self._house.directory.add_key(key)
        # What the old one used of its month is used of this one's.
        limiter, month = self._house.limiter, self._house.month()
        used = limiter.used_this_month(old.subjects[0].id)
        limiter.used_before(key.subjects[0].id, month, used)
        return self._made(whole, key)

    async def revoke(self, caller: Caller, wish: KeyName) -> Done:
        """End a key now, and with it what it has under way."""
        user = self._house.whose(caller, wish.user)
        key = self._house.key(wish.key, user)
        if key.revoked:
            return Done(message=f"The key {key.name!r} ({key.id}) was revoked before.")
        now = self._house.now()

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE keys SET revoked = ? WHERE id = ?", (now, key.id))
            note(connection, now, caller, "key.revoke", key.id, key.name)

        await self._house.writer.change(write)
        key.revoked = now
        self._house.ends(lambda lease: lease.key == key.id, revoked(key))
        return Done(message=f"The key {key.name!r} ({key.id}) is revoked: it holds no more.")

    async def list(self, caller: Caller, wish: KeysAsk) -> KeyList:
        """One's keys, or for operators others'."""
        if wish.everyone:
            if not caller.user.is_operator:
                raise PermissionDenied("Only an operator of the gateway sees everyone's keys.")
            keys = list(self._house.directory.keys.values())
        else:
            keys = list(self._house.whose(caller, wish.user).keys.values())
        told = [self.told(key) for key in sorted(keys, key=lambda key: -key.created)]
        if not wish.ended:
            told = [key for key in told if key.state in ("active", "rotated")]
        return KeyList(keys=tuple(told[:MAX_LISTED]), more=max(0, len(told) - MAX_LISTED))

    async def show(self, caller: Caller, wish: KeyName) -> KeyStatus:
        """One key."""
        return self.told(self._house.key(wish.key, self._house.whose(caller, wish.user)))

    def told(self, key: Key) -> KeyStatus:
        """A key, as it is shown."""
        now = self._house.now()
        state: str = "active"
        if key.revoked:
            state = "revoked"
        elif 0 < key.expires <= now:
            state = "expired"
        elif key.replaced_by:
            state = "rotated"
        return KeyStatus(
            id=key.id, name=key.name, user=key.user.name, scopes=key.scopes,
            state=state,  # type: ignore[arg-type]  # one of them
            models=key.models, created=key.created, expires=key.expires, revoked=key.revoked,
            last_used=key.last_used, limits=key.limits,
            used_this_month=self._house.used_this_month(key.subjects[0].id),
        )  # fmt: skip

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
               expires, limits=old.limits)  # fmt: skip


def _detail(key: Key) -> str:
    return f"{key.name}: {', '.join(key.scopes)}"

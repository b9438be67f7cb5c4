"""A person's API keys and sessions: secrets in the OS keyring, or in a file for who wants that.

It knows which gateways may have each; it never knows what a gateway makes of one, nor who asks.
Everything here blocks, for a few seconds at most: a node calls it in threads.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from aiplat.credentials.backends import Backend, open_keyring
from aiplat.credentials.calls import Calls
from aiplat.credentials.errors import NoKeyring, SecretGone
from aiplat.credentials.files import locked
from aiplat.credentials.held import (
    Found,
    Held,
    Kind,
    Place,
    Where,
    check_held,
    check_secret,
    is_secret,
)
from aiplat.credentials.index import Index, IndexFile
from aiplat.credentials.plain import PlainFile
from aiplat.credentials.vault import Vault
from aiplat.domain.errors import ConfigError
from aiplat.domain.ids import PeerId

log = logging.getLogger("aiplat.credentials")

INDEX, SECRETS, LOCK = "credentials.json", "credentials-secrets.json", "credentials.lock"
SECONDS = 3.0
_TURNS = 5
"""Who holds the lock makes at most so many calls of the keyring."""
_MAX_CLEANED = 100
"""Places emptied at once, so that it ends in time."""


class Store(Protocol):
    """Where secrets lie: the keyring or the file. Its methods raise `ConfigError`."""

    def get(self, name: str) -> str | None: ...
    def put(self, name: str, secret: str) -> None: ...
    def drop(self, names: Iterable[str]) -> None: ...


class KeyringReport(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with the keyring, for people.

    Arguments:
        backend: its name; empty where none could be opened.
        usable: whether secrets are kept in it.
        reason: a sentence that says why not.
        mend: sentences that say what to do.
        left: secrets that are forgotten, but could not be deleted yet.
    """

    backend: str
    usable: bool
    reason: str = ""
    mend: str = ""
    left: int = 0


class Credentials:
    """What is held by one node's person. A process has one: it tries its keyring once.

    Secret and index are two stores, and a crash may come between. A secret's place is noted in the
    index before the secret is written, and until it is deleted; who keeps or forgets next empties
    such places. So at worst a secret lies in the keyring that is listed as one to delete.

    Arguments:
        node: this node's peer id. Entries are filed under it, so that several homes do not meet in
            one keyring.
        folder: of the index, the lock, and the file of plain text; made when it is needed.
        open_keyring: gives keyring's backend.
        seconds: how long a call of the keyring may take; five times that to wait for another
            process.
        now: the time, in seconds since 1970 (UTC).
    """

    def __init__(
        self,
        node: PeerId,
        folder: Path,
        *,
        open_keyring: Callable[[], Backend] = open_keyring,
        seconds: float = SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.service = f"aiplat:{node}"
        """What the entries are filed under in the keyring."""
        self._index = IndexFile(folder / INDEX)
        self._lock = folder / LOCK
        self._seconds = seconds
        self._now = now
        self._vault = Vault(self.service, open_keyring, Calls(seconds))
        self._plain = PlainFile(folder / SECRETS)
        self._stores: dict[Where, Store] = {"keyring": self._vault, "file": self._plain}

    def held(self) -> tuple[Held, ...]:
        """All that is held, in the order in which it was kept.

        Raises:
            ConfigError: the index is broken. So do all methods here but `report`.
        """
        return self._index.read().held

    def check(self, *, insecure: bool = False) -> None:
        """Check that another could be kept, before it is made anywhere.

        Raises:
            NoKeyring: there is no keyring that works.
            ConfigError: the index is full, or a file cannot be used.
            DeadlineExceeded: another process holds the lock.
        """
        with locked(self._lock, self._seconds * _TURNS):
            index = self._index.read()
        if index.is_full:
            raise self._index.full()
        self._choose(insecure)

    def keep(self, held: Held, secret: str, *, insecure: bool = False) -> Held:
        """Keep a credential, instead of one of its kind and id.

        Arguments:
            secret: one word of printable ASCII, of 4 KiB at most.
            insecure: where no keyring works, keep it as plain text in a file of mode 0600.

        Returns:
            It as it is listed, with the store that has the secret.

        Raises:
            InvalidRequest: a field is out of its bounds.
            NoKeyring: there is no keyring that works.
            ConfigError: the index is full, or a file cannot be used.
            DeadlineExceeded: another process holds the lock.
        """
        check_held(held)
        check_secret(secret)
        held = msgspec.structs.replace(held, where=self._choose(insecure))
        store = self._stores[held.where]
        with locked(self._lock, self._seconds * _TURNS):
            index = self._clean(self._index.read())
            expecting = index.expecting(held.place)
            if expecting is not index:
                self._index.write(expecting)
            store.put(held.place.name, secret)
            index = expecting.holding(held)
            self._index.write(index)
            self._clean(index)
        return held

    def secret_of(self, held: Held) -> str:
        """The secret of one that `held` listed.

        Raises:
            NoKeyring: it is in the keyring, which does not work now.
            SecretGone: it is no longer there, or what is there is no secret.
        """
        secret = self._stores[held.where].get(held.place.name)
        if secret is None or not is_secret(secret):
            raise _gone(held, "is gone from" if secret is None else "is spoiled in")
        return secret

    def for_gateway(self, gateway: PeerId, kind: Kind) -> Found | None:
        """What to show to a gateway: the newest that it may receive; None if there is none.

        One that has expired is given only where there is no other: the gateway says so best, and
        the clock here may be wrong.

        Raises:
            NoKeyring, SecretGone: as `secret_of`.
        """
        best = self.listed_for(gateway, kind)
        return None if best is None else Found(best, self.secret_of(best))

    def listed_for(self, gateway: PeerId, kind: Kind) -> Held | None:
        """Which that is, without its secret."""
        fitting = [h for h in self.held() if h.kind == kind and gateway in h.gateways]
        now = self._now()
        # Of several that are as new, that which was kept last.
        return max(
            reversed(fitting), key=lambda h: (not 0 < h.expires <= now, h.made), default=None
        )

    def forget(self, kind: Kind, id: str) -> bool:
        """Forget a credential and delete its secret.

        A keyring that does not work now holds up nothing: it is listed no more, and the secret is
        deleted by who keeps or forgets next (`report` counts those that are left).

        Returns:
            Whether it was held.

        Raises:
            DeadlineExceeded: another process holds the lock.
        """
        with locked(self._lock, self._seconds * _TURNS):
            index = self._index.read()
            known = index.find(kind, id)
            if known is not None:
                index = index.without(known)
                self._index.write(index)
            self._clean(index)
        return known is not None

    def in_keyring(self) -> int:
        """Count the secrets in the keyring: those that are held, and those that may be left."""
        return len(_in_keyring(self._index.read()))

    def empty_keyring(self) -> None:
        """Forget all that is in the keyring and delete it there, before this identity goes.

        Raises:
            NoKeyring: it does not work now; what is left there is noted still.
            DeadlineExceeded: another process holds the lock.
        """
        with locked(self._lock, self._seconds * _TURNS):
            index = self._index.read()
            for held in index.held:
                if held.where == "keyring":
                    index = index.without(held)
            while places := _in_keyring(index)[:_MAX_CLEANED]:
                self._index.write(index)  # forgotten first, as in `forget`
                self._vault.drop([place.name for place in places])
                index = index.emptied(places)
            self._index.write(index)

    def report(self) -> KeyringReport:
        """Try the keyring anew, and say how it stands. Raises nothing."""
        reason, mend, left = "", "", 0
        try:
            left = len(self._index.read().left)
        except ConfigError as fault:
            reason = str(fault)
        try:
            self._vault.again()
        except NoKeyring as fault:
            reason, mend = reason or fault.reason, "" if reason else fault.mend
        return KeyringReport(
            backend=self._vault.backend, usable=not reason, reason=reason, mend=mend, left=left
        )

    def _choose(self, insecure: bool) -> Where:
        """The store that a secret would go to now."""
        try:
            self._vault.ready()
        except NoKeyring:
            if not insecure:
                raise
            self._plain.ready()
            return "file"
        return "keyring"

    def _clean(self, index: Index) -> Index:
        """Empty the places that are left, as far as it goes; for who holds the lock."""
        cleaned = index
        for where, store in self._stores.items():
            places = tuple(place for place in index.left if place.where == where)[:_MAX_CLEANED]
            if not places:
                continue
            try:
                store.drop([place.name for place in places])
            except ConfigError as fault:
                log.warning("forgotten secrets are not deleted yet: %s", fault)
            else:
                cleaned = cleaned.emptied(places)
        if cleaned is not index:
            self._index.write(cleaned)
        return cleaned


def _in_keyring(index: Index) -> tuple[Place, ...]:
    places = (*(held.place for held in index.held), *index.left)
    return tuple(place for place in places if place.where == "keyring")


def _gone(held: Held, how: str) -> SecretGone:
    where = "the keyring" if held.where == "keyring" else f"the file {SECRETS}"
    if held.kind == "key":
        mend = f"Revoke it (`aiplat keys revoke {held.id}`) and make another (`aiplat keys create`)"
    else:
        mend = "Log in again (`aiplat login`)"
    return SecretGone(f"The secret of the {held.kind} {held.id} {how} {where}. {mend}.")

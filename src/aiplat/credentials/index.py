"""The index beside the keyring, which cannot be listed: what is held, and no secret.

It also notes the places where a secret may lie that is not listed: one that is about to be kept, or
whose credential was forgotten. So no crash leaves a secret that nobody would ever delete.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from aiplat.credentials.files import read_private, write_private
from aiplat.credentials.held import Held, Kind, Place, check_held
from aiplat.domain.errors import ConfigError, InvalidRequest, clip

MAX_ENTRIES = 1000
"""Held and left together."""
VERSION = 1


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """All that the file says; changed by making another.

    Arguments:
        held: the credentials, each kind and id once.
        left: places that are to be emptied; none is that of a held one.
        version: of the file's form.
    """

    held: tuple[Held, ...] = ()
    left: tuple[Place, ...] = ()
    version: int = VERSION

    def find(self, kind: Kind, id: str) -> Held | None:
        """The credential, if it is held."""
        return next((h for h in self.held if (h.kind, h.id) == (kind, id)), None)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another."""
        return len(self.held) + len(self.left) >= MAX_ENTRIES

    def expecting(self, place: Place) -> Index:
        """Note that a secret may come to lie at `place`, unless that is known."""
        if place in self.left or any(held.place == place for held in self.held):
            return self
        return Index(held=self.held, left=(*self.left, place))

    def holding(self, held: Held) -> Index:
        """List `held`, whose secret is in its place, instead of one of its kind and id."""
        index = self
        old = self.find(held.kind, held.id)
        if old is not None:
            index = index.without(old)
        left = tuple(place for place in index.left if place != held.place)
        return Index(held=(*index.held, held), left=left)

    def without(self, held: Held) -> Index:
        """List it no more; its place is to be emptied."""
        others = tuple(other for other in self.held if other != held)
        return Index(held=others, left=(*self.left, held.place))

    def emptied(self, places: tuple[Place, ...]) -> Index:
        """Note that nothing lies there any more."""
        return Index(held=self.held, left=tuple(p for p in self.left if p not in places))


class IndexFile:
    """Where it is kept. Writers hold the lock, readers need none: the file is replaced whole.

    Arguments:
        path: of the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Index:
        """The index; empty where there is no file.

        Raises:
            ConfigError: the file is broken, of a newer aiplat, or others may read it. It is left
                as it is.
        """
        data = read_private(self.path)
        if data is None:
            return Index()
        try:
            index = msgspec.json.decode(data, type=Index)
            self._check(index)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidRequest) as fault:
            raise ConfigError(
                f"{self.path} is broken ({clip(str(fault), 200).rstrip('.')}): put a copy back, or "
                "move it away, log in again and make new keys."
            ) from None
        return index

    def write(self, index: Index) -> None:
        """Put it in place of the one that is there.

        Raises:
            ConfigError: it has too many entries, or cannot be written.
        """
        entries = len(index.held) + len(index.left)
        if entries > MAX_ENTRIES:
            raise self.full()
        write_private(self.path, msgspec.json.format(msgspec.json.encode(index), indent=1) + b"\n")

    def full(self) -> ConfigError:
        """The error for one credential too many."""
        return ConfigError(
            f"{self.path} lists {MAX_ENTRIES} credentials, which is its bound: revoke keys that "
            "are no longer used (`aiplat keys list`, `aiplat keys revoke`)."
        )

    def _check(self, index: Index) -> None:
        if index.version != VERSION:
            raise InvalidRequest(f"its version is {index.version}, and this aiplat reads {VERSION}")
        if len(index.held) + len(index.left) > MAX_ENTRIES:
            raise InvalidRequest(f"it has more than {MAX_ENTRIES} entries")
        for held in index.held:
            check_held(held)
        if len({(held.kind, held.id) for held in index.held}) != len(index.held):
            raise InvalidRequest("it lists a credential twice")
        if {held.place for held in index.held} & set(index.left):
            raise InvalidRequest("it lists a credential, and its place as one to empty")

"""Addresses of peers, kept for next time in a file that is written whole or not at all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec
import trio

from aiplat.domain.errors import NoPeer
from aiplat.domain.ids import PeerId
from aiplat.node.addresses import parse_target
from aiplat.node.files import write_private

log = logging.getLogger("aiplat.node.known")

MAX_FILE = 1024 * 1024
LAST_SECONDS = 1.0
"""For the last change, when the node stops."""


class _File(msgspec.Struct, omit_defaults=True):
    """What the file holds."""

    peers: list[str] = []
    heard: list[str] = []
    version: int = 1


class KnownPeers:
    """Addresses, the one that last worked first; one for each peer. `run` keeps them on disk.

    Besides, those that members told of themselves and that nobody tried: who was dialed by all the
    others, and moves, finds back to them by these.

    Arguments:
        path: the file, or None to keep them in memory only.
        bound: at most so many of each kind; the last ones are forgotten.
    """

    def __init__(self, path: Path | None, bound: int) -> None:
        self._path = path
        self._bound = bound
        file = _load(path) if path is not None else _File()
        self._addresses, self._heard = file.peers[:bound], file.heard[:bound]
        self._saved = self._both
        self._peers = {a: _peer_of(a) for a in (*self._addresses, *self._heard)}
        self._changed = trio.Event()
        self._writing = threading.Lock()

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of them, best first."""
        return tuple(self._addresses)

    @property
    def heard(self) -> tuple[str, ...]:
        """What members told of themselves, the latest first."""
        return tuple(self._heard)

    @property
    def _both(self) -> tuple[list[str], list[str]]:
        return self._addresses, self._heard

    def hear(self, peer: PeerId, addresses: Iterable[str]) -> None:
        """Keep where a member says that it is, in place of what it said before."""
        told = list(addresses)
        if told and told != self._heard[: len(told)]:
            others = [a for a in self._heard if self._peers[a] != peer]
            self._peers.update(dict.fromkeys(told, peer))
            self._put(self._addresses, [*told, *others])

    def clear(self) -> None:
        """Keep nothing any more."""
        self._put([], [])

    def add(self, address: str) -> None:
        """Keep an address that has not worked yet, behind the others."""
        if address not in self._addresses:
            self._peers[address] = _peer_of(address)
            self._put([*self._addresses[: self._bound - 1], address])

    def worked(self, address: str) -> None:
        """Move an address to the front; an older one of the same peer goes."""
        if self._addresses[:1] != [address]:
            peer = self._peers[address] = _peer_of(address)
            self._put([address, *(a for a in self._addresses if self._peers[a] != peer)])

    def forget(self, address: str) -> None:
        """Keep it no more."""
        if address in self._addresses:
            self._put([a for a in self._addresses if a != address])

    async def run(self) -> None:
        """Write each change down until cancelled, and at the end what is left."""
        try:
            while True:
                await self._changed.wait()
                await self._save_aside()
        finally:
            if any(a is not b for a, b in zip(self._both, self._saved, strict=True)):
                with trio.move_on_after(LAST_SECONDS, shield=True):
                    await self._save_aside()

    async def _save_aside(self) -> None:
        """Save in a thread: a slow disk holds up no heartbeat, and no node that stops."""
        self._changed = trio.Event()
        await trio.to_thread.run_sync(self.save, abandon_on_cancel=True)

    def save(self) -> None:
        """Write them down as they are now; blocks. A failure is only a warning."""
        if self._path is None:
            return
        with self._writing:  # a thread that was left behind may still be at it
            self._saved = addresses, heard = self._both
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_private(self._path, msgspec.json.encode(_File(addresses, heard)))
            except OSError as fault:
                path = str(self._path)
                log.warning("known peers were not saved: %s", fault, extra={"path": path})

    def _put(self, addresses: list[str], heard: list[str] | None = None) -> None:
        # New lists: a thread may read the old ones.
        self._addresses = addresses[: self._bound]
        if heard is not None:
            self._heard = heard[: self._bound]
        kept = (*self._addresses, *self._heard)
        self._peers = {address: self._peers[address] for address in kept}
        self._changed.set()


def _peer_of(address: str) -> PeerId:
    """Whose an address is; some 50 µs, which is why it is asked once for each."""
    return parse_target(address, beyond=True).peer


def _load(path: Path) -> _File:
    """The addresses in the file that can be read; a broken file is set aside."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise msgspec.ValidationError(f"the file has over {MAX_FILE} bytes")
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        return _File()
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        _set_aside(path, str(fault))
        return _File()
    except OSError as fault:
        log.warning("known peers cannot be read: %s", fault, extra={"path": str(path)})
        return _File()
    return _File(_readable(file.peers), _readable(file.heard))


def _readable(addresses: list[str]) -> list[str]:
    return [address for address in dict.fromkeys(addresses) if _is_address(address)]


def _set_aside(path: Path, why: str) -> None:
    aside = path.with_name(f"{path.name}.broken")
    log.warning(
        "the file of known peers is broken (%s) and was set aside as %s", why, aside,
        extra={"path": str(path)},
    )  # fmt: skip
    try:
        path.replace(aside)
    except OSError as fault:
        log.warning("it could not be set aside: %s", fault, extra={"path": str(path)})


def _is_address(address: str) -> bool:
    try:
        parse_target(address, beyond=True)
    except NoPeer:
        return False
    return True

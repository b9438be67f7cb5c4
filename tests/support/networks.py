"""Networks for tests: an owner and members, their files in a folder, on a clock set by hand."""

from __future__ import annotations

from pathlib import Path

from aiplat.domain.ids import PeerId, Role
from aiplat.node.identity import Identity
from aiplat.node.membership.files import NetworkFiles, Record
from aiplat.node.membership.membership import Membership
from aiplat.node.membership.owner import Owner, create, need_owner


class Clock:
    """The time of day, as a test sets it."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Lab:
    """A network with its owner, and members on request.

    Arguments:
        folder: for everyone's files.
        public: whether anyone may be a client.
    """

    def __init__(self, folder: Path, *, public: bool = False) -> None:
        self.folder = folder
        self.clock = Clock()
        self.identity = Identity.generate()
        self.membership = Membership(
            NetworkFiles(folder / "owner"), self.identity.peer_id, self.clock
        )
        create(self.membership, "lab", public=public)

    @property
    def owner(self) -> Owner:
        return need_owner(self.membership)

    @property
    def record(self) -> Record:
        assert self.membership.record is not None
        return self.membership.record

    def member(
        self, *roles: Role, identity: Identity | None = None, keeps: bool = True
    ) -> tuple[Identity, Membership]:
        """A new member with a certificate for these roles."""
        identity = identity or Identity.generate()
        certificate = self.owner.certify(identity.peer_id, roles)
        record = Record(
            name="lab", network=self.record.network, psk=self.record.psk, certificate=certificate,
            revocations=self.record.revocations,
        )  # fmt: skip
        files = NetworkFiles(self.folder / identity.peer_id) if keeps else None
        membership = Membership(files, identity.peer_id, self.clock)
        if files is not None:
            files.keep_record(record)
        membership.take(record)
        return identity, membership

    def token(self, *roles: Role, uses: int = 1, seconds: int = 3600, at: str = "") -> str:
        """The text of a token."""
        address = at or f"/ip4/127.0.0.1/tcp/1/p2p/{self.identity.peer_id}"
        text, _ = self.owner.invite(roles or ("client",), seconds, uses, (address,))
        return text


def peer_id() -> PeerId:
    """One that nobody has."""
    return Identity.generate().peer_id

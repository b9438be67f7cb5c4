"""The network that this node belongs to, and what it lets a peer be."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from aiplat.domain.errors import NotAMember
from aiplat.domain.ids import ROLES, PeerId, Role, short
from aiplat.node.membership.files import NetworkFiles, Record
from aiplat.protocol.membership import (
    Certificate,
    RevocationList,
    SealError,
    in_order,
    unseal,
)
from aiplat.protocol.messages import Hello

CLOCK_TOLERANCE_SECONDS = 24 * 3600
"""How far two nodes' clocks may differ: a certificate is good for so much earlier and longer."""

DAY = 86_400

SHOWN = 1024
"""Certificates that were seen to hold, and are not computed again at each look."""


def revoked_text(name: str) -> str:
    """Say to a node that it was revoked from the network `name`, and how it goes on."""
    return (
        f"This node was revoked from the network {name} by its owner. To come back it needs a new "
        "invitation and a new identity: `aiplat stop`, `aiplat reset --identity`, then `aiplat "
        "join`; models stay. `aiplat network leave` lets it go on without the network."
    )


class Membership:
    """A node's place in a network; or in none, where it knows only its own machine.

    Arguments:
        files: what is kept of it; None for a node that keeps nothing.
        peer: this node.
        clock: the time of day, seconds since 1970 (UTC).
    """

    def __init__(
        self,
        files: NetworkFiles | None = None,
        peer: PeerId | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.files = files
        self.peer = peer
        self.clock = clock
        self.record: Record | None = None
        self.own: Certificate | None = None
        self.revocations: RevocationList | None = None
        self.blocked: frozenset[PeerId] = frozenset()
        self.reload()

    def reload(self) -> None:
        """Read the files anew.

        Raises:
            ConfigError: one is broken, does not hold, or others may read it.
        """
        if self.files is None:
            return
        self.blocked = frozenset(self.files.blocked())
        try:
            self.take(self.files.record())
        except SealError as fault:
            raise self.files.damaged(f"the owner's signature does not hold: {fault}") from None

    def take(self, record: Record | None) -> None:
        """Belong to this network from now on; None for none.

        Raises:
            SealError: its certificate or its list of the revoked is none; nothing has changed.
        """
        own = revocations = None
        if record is not None and record.certificate:
            own = unseal(record.certificate, Certificate, record.network)
        if record is not None and record.revocations:
            revocations = unseal(record.revocations, RevocationList, record.network)
        self.record, self.own, self.revocations = record, own, revocations

    # -- what it is ------------------------------------------------------------------------------

    @property
    def network(self) -> bytes | None:
        """The owner's public key, 32 bytes; None in no network."""
        return None if self.record is None else self.record.network

    @property
    def psk(self) -> str | None:
        """The network's pre-shared key, 64 hexadecimal digits; None where there is none."""
        return None if self.record is None else self.record.psk or None

    @property
    def is_public(self) -> bool:
        """Whether anyone may be a client: the network has no pre-shared key."""
        return self.record is not None and not self.record.psk

    @property
    def certificate(self) -> bytes:
        """What `Hello` shows; empty for who has none."""
        return b"" if self.record is None else self.record.certificate

    @property
    def roles(self) -> tuple[Role, ...]:
        """What this node may be: in no network all there is, on its own machine."""
        if self.own is None:
            return ("client",) if self.is_public else ROLES
        return in_order((*self.own.roles, "client") if self.is_public else self.own.roles)

    @property
    def revoked(self) -> frozenset[PeerId]:
        """Whose certificates hold no more."""
        return frozenset(self.revocations.peers if self.revocations is not None else ())

    def least_serial(self, peer: PeerId) -> int:
        """The least serial that a peer's certificate must have: older ones hold no more."""
        return self.revocations.least.get(peer, 0) if self.revocations is not None else 0

    @property
    def is_revoked(self) -> bool:
        """Whether the owner took this node's own certificate away."""
        return self.own is not None and self.own.peer in self.revoked

    # -- what a peer may be ----------------------------------------------------------------------

    def admit(self, peer: PeerId, hello: Hello) -> tuple[Role, ...]:
        """The roles that a peer has here: what it claims, as far as its certificate says so.

        Raises:
            NotAMember: it may not be here at all.
        """
        if peer in self.blocked:
            raise NotAMember(f"This node blocks the peer {short(peer)}.")
        if not hello.roles:
            raise NotAMember(f"The peer {short(peer)} has no role.")
        if self.record is None:
            return hello.roles
        if not hello.certificate:
            return self._without_certificate(peer, hello)
        certified = self.check(peer, hello.certificate).roles
        roles = in_order(tuple(role for role in hello.roles if role in certified))
        if self.is_public and "client" in hello.roles:
            roles = in_order((*roles, "client"))
        if not roles:
            raise NotAMember(
                f"The peer {short(peer)} wants to be {' and '.join(hello.roles)} in the network "
                f"{self.record.name}, but its certificate says {' and '.join(certified)}. It "
                "needs an invitation for that role."
            )
        return roles

    def _without_certificate(self, peer: PeerId, hello: Hello) -> tuple[Role, ...]:
        assert self.record is not None
        if peer in self.revoked:
            raise NotAMember(
                f"The peer {short(peer)} was revoked from the network {self.record.name} by its "
                "owner."
            )
        if self.is_public and "client" in hello.roles:
            return ("client",)
        raise NotAMember(
            f"The network {self.record.name} takes only members, and the peer {short(peer)} shows "
            "no certificate. It needs an invitation: `aiplat join`."
        )

    def check(self, peer: PeerId, sealed: bytes) -> Certificate:
        """The certificate that a peer shows.

        Raises:
            NotAMember: it is not its own, not this network's, over, replaced, or revoked.
        """
        assert self.record is not None
        name, who = self.record.name, short(peer)
        try:
            shown = _certificate(sealed, self.record.network)
        except SealError as fault:
            raise NotAMember(
                f"The certificate of {who} does not hold in the network {name}: {fault}."
            ) from None
        if shown.peer != peer:
            raise NotAMember(f"The peer {who} shows the certificate of another, {shown.peer}.")
        if peer in self.revoked:
            raise NotAMember(f"The peer {who} was revoked from the network {name} by its owner.")
        if shown.serial < (least := self.least_serial(peer)):
            raise NotAMember(
                f"The certificate of {who} in the network {name} is number {shown.serial}, and its "
                f"owner gave it other roles with number {least}: it must show that one, or join "
                "again with a new invitation."
            )
        self._check_time(shown, who)
        return shown

    def _check_time(self, shown: Certificate, who: str) -> None:
        """Hours do not matter; days do, whichever of the clocks is wrong."""
        assert self.record is not None
        what = f"The certificate of {who} in the network {self.record.name}"
        now = self.clock()
        whose = "of this node" if self.peer is None else f"of {short(self.peer)}"
        by = f"by the clock {whose}, {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC"
        if now - shown.expires > CLOCK_TOLERANCE_SECONDS:
            days = (now - shown.expires) / DAY
            raise NotAMember(
                f"{what} ended {days:.1f} days ago {by}. If that is the time, it is renewed while "
                "a member reaches the owner's node, or by a new invitation; if it is not, set "
                "that clock."
            )
        if shown.issued - now > CLOCK_TOLERANCE_SECONDS:
            days = (shown.issued - now) / DAY
            raise NotAMember(
                f"{what} begins only in {days:.1f} days {by}. That clock is wrong, or the owner's "
                "was: set it, best by NTP."
            )


@lru_cache(SHOWN)
def _certificate(sealed: bytes, network: bytes) -> Certificate:
    """The certificate under the owner's signature; what does not hold is not kept."""
    return unseal(sealed, Certificate, network)

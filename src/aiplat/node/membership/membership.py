"""The network that this node belongs to, and what it lets a peer be."""

from __future__ import annotations

from aiplat.domain.errors import NotAMember
from aiplat.domain.ids import PeerId, Role, short
from aiplat.protocol.messages import Hello


class Membership:
    """A node's place in a network; or in none, where it knows only its own machine."""

    @property
    def psk(self) -> str | None:
        """The network's pre-shared key, 64 hexadecimal digits; None where there is none."""
        return None

    @property
    def certificate(self) -> bytes:
        """What `Hello` shows; empty for who has none."""
        return b""

    def admit(self, peer: PeerId, hello: Hello) -> tuple[Role, ...]:
        """The roles that a peer has here: what it claims, as far as its certificate says so.

        Raises:
            NotAMember: it may not be here at all.
        """
        if not hello.roles:
            raise NotAMember(f"The peer {short(peer)} has no role.")
        return hello.roles

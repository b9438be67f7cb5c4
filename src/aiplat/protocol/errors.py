"""The two faults a wire can have: ours, and the peer's (after h11)."""

from __future__ import annotations


class ProtocolError(Exception):
    """The root of both."""


class LocalProtocolError(ProtocolError):
    """We tried to say what may not be said now: a bug of ours. Nothing was sent."""


class FrameTooLarge(LocalProtocolError):
    """What we tried to say is over the bound of one frame: a person's prompt may be."""


class RemoteProtocolError(ProtocolError):
    """The peer said what may not be said: it loses its channel, and no more."""


class Violation(ProtocolError):
    """Something that may not be said now; the channel knows whose fault it is."""


class VersionMismatch(RemoteProtocolError):
    """The peer speaks another major version."""

    def __init__(self, ours: int, theirs: int) -> None:
        super().__init__(
            f"The peer speaks major version {theirs} of the aiplat protocol, this node speaks "
            f"{ours}. Install the same major version of aiplat on both."
        )
        self.ours = ours
        self.theirs = theirs

"""What can go wrong between a face and its node, with the sentence for a person."""

from __future__ import annotations

from pathlib import Path

import msgspec

from aiplat.control.messages import ErrorReply
from aiplat.domain.errors import NotReady


class NoNode(NotReady):
    """No node runs at the socket."""


class NodeLost(NotReady):
    """The node is there, but does not answer, or ended in the middle of an answer."""


class NodeSilent(NodeLost):
    """The node is there, and says nothing at all: it is frozen, or this machine is overloaded."""


class Faults:
    """Makes them for the node of one socket.

    Arguments:
        path: the control socket.
        log: where the node writes; a person is told when it is lost.
    """

    def __init__(self, path: Path, log: Path | None) -> None:
        self._path = path
        self._log = f" Its log is {log}." if log is not None else ""

    def absent(self) -> NoNode:
        """Nothing listens."""
        return NoNode(
            f"No node runs here (nothing listens at {self._path}). Start one with `aiplat serve`."
        )

    def unusable(self, error: OSError) -> NoNode:
        """The socket cannot be used."""
        return NoNode(
            f"The node's control socket {self._path} cannot be used: {error.strerror or error}."
        )

    def silent(self, seconds: float | None) -> NodeSilent:
        """It says nothing."""
        return NodeSilent(
            f"The node of this home has not answered for {seconds or 0:g} seconds: it is frozen, "
            f"or overloaded. `aiplat stop --now` ends it.{self._log}"
        )

    def ended(self) -> NodeLost:
        """It ended in the middle."""
        return NodeLost(
            "The node of this home ended before its answer was whole: it was stopped or killed. "
            f"Ask again.{self._log}"
        )

    def strange(self, what: str) -> NodeLost:
        """It says what no node of this version says."""
        return NodeLost(
            f"What answers at {self._path} is no node of this version ({what}). Stop it and start "
            "it again."
        )

    def refused(self, data: bytes, status: int) -> Exception:
        """It answered with an error."""
        try:
            return msgspec.json.decode(data, type=ErrorReply).error.error()
        except msgspec.MsgspecError:
            return self.strange(f"status {status}")

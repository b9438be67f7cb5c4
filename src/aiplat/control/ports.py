"""What the doors may ask of the node that they are in. `runtime` implements it."""

from __future__ import annotations

from typing import Protocol

from aiplat.control.messages import Access, ModelStatus, Status, Stop, Stopping
from aiplat.domain.answers import Inference


class NodeOperations(Protocol):
    """The node, as its doors see it."""

    def status(self) -> Status:
        """The node, now."""

    async def models(self) -> tuple[ModelStatus, ...]:
        """The models that a request of this node's may name, those that are ready first.

        Raises:
            AiplatError: no gateway could be asked.
        """

    async def inference(self, peer: str = "") -> Inference:
        """Who answers a request: the local gateway, or one that the node reached.

        Arguments:
            peer: a gateway's multiaddr, to ask that one and no other; it is dialled if needed.

        Raises:
            NoPeer: it cannot be reached, is not aiplat, or is no gateway.
            NotReady: this node is neither client nor gateway.
        """

    def access(self) -> Access:
        """Base URL and local token of the HTTP door."""

    def missing(self) -> tuple[str, ...]:
        """What stands between this node and serving, in words; empty when it is ready."""

    def stop(self, stop: Stop) -> Stopping:
        """Begin to end the node, as asked."""

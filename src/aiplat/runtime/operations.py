"""What the doors may ask of this node (`NodeOperations`): its parts, answered from in one place."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import aiplat
from aiplat.control.messages import Access, ModelStatus, PeerStatus, Status, Stop, Stopping
from aiplat.domain.answers import Inference
from aiplat.domain.errors import NotReady
from aiplat.domain.ids import PeerId, Role
from aiplat.node.node import Node
from aiplat.roles.client import Client
from aiplat.roles.gateway import Gateway
from aiplat.roles.processor import Processor


@dataclass
class Operations:
    """A running node, as its doors see it.

    Arguments:
        token: the local token of the HTTP door.
        control: path of the control socket.
        http: base URL of the HTTP door, once it listens.
        on_stop: begins the end; its argument says whether at once.
        now: the clock, in seconds.
    """

    node: Node
    roles: tuple[Role, ...]
    client: Client | None
    gateway: Gateway | None
    processor: Processor | None
    token: str
    control: str
    background: bool
    on_stop: Callable[[bool], None]
    now: Callable[[], float]
    http: str = ""
    state: Literal["starting", "ready", "draining"] = "starting"
    began: float = field(init=False)

    def __post_init__(self) -> None:
        """Remember when it began."""
        self.began = self.now()

    # -- what runs -------------------------------------------------------------------------

    def active(self) -> set[str]:
        """The names of all requests under way, each once, whichever roles have it."""
        names = set() if self.gateway is None else {f.submission.id for f in self.gateway.active}
        for role in (self.client, self.processor):
            names |= set() if role is None else role.active
        return names

    def is_busy(self) -> bool:
        """Whether a request is under way, or a peer has not taken all of an answer yet."""
        return bool(self.active()) or any(c.active for c in self.node.channels.values())

    def taken(self) -> int:
        """A figure that changes with each request: whether it did tells whether it was used."""
        parts = (self.gateway, self.client, self.processor)
        return sum(part.taken for part in parts if part is not None)

    # -- NodeOperations ----------------------------------------------------------------------

    def status(self) -> Status:
        """The node, now."""
        return Status(
            peer_id=self.node.peer_id,
            addresses=self.node.addresses,
            http=self.http,
            control=self.control,
            roles=self.roles,
            models=self._own_models(),
            peers=self._peers(),
            version=aiplat.__version__,
            state=self.state,
            pid=os.getpid(),
            background=self.background,
            active=len(self.active()),
            uptime_seconds=round(self.now() - self.began, 1),
        )

    async def models(self) -> tuple[ModelStatus, ...]:
        """The models that a request may name."""
        if self.gateway is not None:
            return self.gateway.models()
        return await self._client().models(self.node)

    async def inference(self, peer: str = "") -> Inference:
        """Who answers a request."""
        if self.client is None and self.gateway is not None and not peer:
            return self.gateway
        return await self._client().inference(self.node, peer)

    def _client(self) -> Client:
        if self.client is None:
            raise NotReady(
                f"This node is {' and '.join(self.roles)} only and takes no prompts of its own. "
                "Ask a node with the role client or gateway."
            )
        return self.client

    def access(self) -> Access:
        """Base URL and local token of the HTTP door."""
        return Access(base_url=self.http, api_key=self.token)

    def missing(self) -> tuple[str, ...]:
        """What stands between this node and serving."""
        wanting = []
        if self.state != "ready":
            wanting.append(f"the node is {self.state}")
        if self.gateway is not None:
            if not any(model.state == "ready" for model in self.gateway.models()):
                wanting.append("no processor with a model that is ready is connected")
        elif self.client is not None and not self.client.gateways:
            wanting.append("no gateway is connected")
        if self.processor is not None:
            wanting += [
                f"the model {offer.name} is {offer.state}{f': {offer.note}' if offer.note else ''}"
                for offer in self.processor.announcement.models
                if offer.state != "ready"
            ]
        return tuple(wanting)

    def stop(self, stop: Stop) -> Stopping:
        """Begin to end the node, as asked."""
        active = len(self.active())
        stopping = not (stop.if_idle and active)
        if stopping:
            self.on_stop(stop.now)
        return Stopping(stopping=stopping, pid=os.getpid(), active=active)

    # -- inside ------------------------------------------------------------------------------

    def _own_models(self) -> tuple[ModelStatus, ...]:
        if self.gateway is not None:
            return self.gateway.models()
        if self.processor is None:
            return ()
        return tuple(
            ModelStatus(
                name=offer.name, state=offer.state, processors=1, slots=offer.slots,
                running=offer.running, waiting=offer.waiting,
                context=offer.manifest.context if offer.manifest else 0, note=offer.note,
            )
            for offer in self.processor.announcement.models
        )  # fmt: skip

    def _peers(self) -> tuple[PeerStatus, ...]:
        connected = [
            PeerStatus(
                peer_id=channel.peer,
                roles=channel.roles,
                address=channel.address,
                agent=channel.hello.agent,
                latency_ms=None if channel.latency is None else round(channel.latency * 1000, 2),
                models=self._models_of(channel.peer),
                note="draining" if self._drains(channel.peer) else "",
            )
            for channel in self.node.channels.values()
        ]
        wanted = [
            PeerStatus(
                peer_id=wanted.peer_id, state="connecting", address=wanted.address, note=wanted.note
            )
            for wanted in self.node.wanted
            if wanted.state != "connected"
        ]
        return (*connected, *wanted)

    def _drains(self, peer: PeerId) -> bool:
        processor = None if self.gateway is None else self.gateway.processors.get(peer)
        gateway = None if self.client is None else self.client.gateways.get(peer)
        return any(known is not None and known.draining for known in (processor, gateway))

    def _models_of(self, peer: PeerId) -> tuple[str, ...]:
        if self.gateway is None:
            return ()
        return tuple(name for p in self.gateway.processors if p.peer == peer for name in p.offers)

"""Whom a gateway sees, told to those who ask it (`Call` ``network.peers``): rows without addresses.

Who shows no certificate, a client of a public network say, is told of gateways and processors only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from aiplat.domain.errors import clip
from aiplat.domain.ids import ROLES, PeerId, Role

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.roles.pool import Processor

METHOD = "network.peers"
MAX_MODELS = 8
MAX_NAME = 60
MAX_VERSION = 24
MAX_REASON = 120

Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Figure = Annotated[float, Meta(ge=0, le=1e9)]


class ToldPeer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A peer that a gateway has a channel to; or that gateway itself, as a processor.

    Arguments:
        roles: those that this program knows.
        slots, running, waiting: over its models; None for who is no processor.
        tokens_per_second: of one answer, as the processor says.
        measured_tokens_per_second: the same, as the gateway saw it.
        since_seconds: how long the channel there stands.
        paused: why its owner lets it take nothing, in words.
    """

    peer_id: PeerId
    roles: tuple[str, ...] = ()
    draining: bool = False
    models: tuple[str, ...] = ()
    slots: Count | None = None
    running: Count | None = None
    waiting: Count | None = None
    tokens_per_second: Figure | None = None
    measured_tokens_per_second: Figure | None = None
    version: str = ""
    since_seconds: Figure | None = None
    paused: str = ""

    @property
    def known_roles(self) -> tuple[Role, ...]:
        """Its roles, those left out that only a newer program knows."""
        return tuple(role for role in ROLES if role in self.roles)


_ROWS = msgspec.msgpack.Decoder(tuple[ToldPeer, ...])


def row(channel: Channel, processor: Processor | None, now: float) -> ToldPeer:
    """A peer behind a channel, and what it offers.

    Arguments:
        now: seconds, on the clock of `Channel.opened`.
    """
    told = ToldPeer(
        peer_id=channel.peer, roles=channel.roles,
        version=clip(channel.hello.agent.partition("/")[2], MAX_VERSION),
        since_seconds=round(max(0.0, now - channel.opened), 1), draining=channel.draining,
    )  # fmt: skip
    return told if processor is None else _with_figures(told, processor)


def own_row(peer: PeerId, processor: Processor) -> ToldPeer:
    """The gateway itself, when its node is a processor too."""
    return _with_figures(ToldPeer(peer_id=peer, roles=("gateway", "processor")), processor)


def _with_figures(told: ToldPeer, processor: Processor) -> ToldPeer:
    offers = tuple(processor.offers.values())
    speeds = [offer.tokens_per_second for offer in offers if offer.tokens_per_second]
    return msgspec.structs.replace(
        told,
        draining=told.draining or processor.draining,
        paused=processor.paused,
        models=tuple(offer.name for offer in offers),
        slots=sum(offer.slots for offer in offers) if offers else None,
        running=sum(offer.running for offer in offers) if offers else None,
        waiting=sum(offer.waiting for offer in offers) if offers else None,
        tokens_per_second=max(speeds, default=None),
        measured_tokens_per_second=(
            round(max(processor.measured.values()), 1) if processor.measured else None
        ),
    )


def encode(rows: Iterable[ToldPeer], *, to_member: bool, most: int) -> tuple[msgspec.Raw, int]:
    """What is sent, and how many rows were left out for the bound.

    Arguments:
        to_member: whether who asks showed a certificate; others are told of no clients.
        most: rows at most; clients are left out first.
    """
    told = [r for r in rows if to_member or set(r.roles) & {"gateway", "processor"}]
    told.sort(key=lambda r: r.roles == ("client",))
    body = msgspec.msgpack.encode([_clipped(r) for r in told[:most]])
    return msgspec.Raw(body), max(0, len(told) - most)


def decode(body: msgspec.Raw, most: int) -> tuple[list[ToldPeer], int]:
    """The rows of a reply, every text clipped, and how many were left out for the bound.

    A gateway may send anything.

    Raises:
        UNREADABLE: it holds no rows.
    """
    rows = _ROWS.decode(body)
    return [_clipped(r) for r in rows[:most]], max(0, len(rows) - most)


def _clipped(told: ToldPeer) -> ToldPeer:
    return msgspec.structs.replace(
        told,
        models=tuple(clip(name, MAX_NAME) for name in told.models[:MAX_MODELS]),
        version=clip(told.version, MAX_VERSION),
        paused=clip(told.paused, MAX_REASON),
    )

"""Joining a network: one question to the owner's node, over a stream protocol of its own.

Who has no certificate gets no channel. It gets this stream: a frame with its voucher there, a
frame with its certificate back, each a length (u32) and MessagePack.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

import msgspec
import trio
from libp2p.stream_muxer.exceptions import MuxedStreamError

from aiplat.domain.answers import Failed
from aiplat.domain.errors import AiplatError, NoPeer, NotAMember, Overloaded
from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Target, parse_target, relay_in, seen_from
from aiplat.node.halfopen import PATIENCE_SECONDS, HalfOpen
from aiplat.node.host import Host, NotOurs, open_host
from aiplat.node.identity import Identity
from aiplat.node.membership.files import Record
from aiplat.node.membership.membership import Membership
from aiplat.node.membership.owner import owner_of
from aiplat.node.pipe import StreamPipe
from aiplat.node.places import Recent, source_of
from aiplat.node.reaching import is_another_peer, no_peer
from aiplat.node.settings import NodeSettings
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.membership import Certificate, RevocationList, SealError, unseal
from aiplat.protocol.token import Token
from aiplat.telemetry.metrics import Metrics

PROTOCOL = "/aiplat/join/1"
MAX_FRAME = 2 * 1024 * 1024

REFUSAL_SECONDS = 1.0
"""For a newcomer that is turned away at the door to read why."""


class JoinAsk(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a newcomer shows. Who it is, Noise has proved."""

    voucher: bytes


class JoinReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Its certificate and the list of the revoked, sealed, and where members are; or why not."""

    certificate: bytes = b""
    revocations: bytes = b""
    addresses: tuple[str, ...] = ()
    failed: Failed | None = None


_ASK = msgspec.msgpack.Decoder(JoinAsk)
_REPLY = msgspec.msgpack.Decoder(JoinReply)


# -- the newcomer's side -------------------------------------------------------------------------


def needs_no_certificate(token: Token) -> bool:
    """Tell whether anyone may be what a token invites to be: a client of a public network."""
    return not token.psk and token.roles == ("client",)


def without_certificate(token: Token) -> Record:
    """What makes a node a client of a public network: nobody is asked, so it never runs out.

    Raises:
        NotAMember: the token does not say where to begin.
    """
    _need_addresses(token)
    return Record(name=token.name, network=token.network, addresses=token.addresses)


def _need_addresses(token: Token) -> None:
    if not token.addresses:
        raise NotAMember("The token names no address: ask the network's owner for a new one.")


def where_to_ask(token: Token) -> list[str]:
    """The token's addresses at which the owner's node itself may be: a relay is for members."""
    return [address for address in token.addresses if relay_in(address) is None]


def asking_seconds(token: Token, settings: NodeSettings) -> float:
    """How long `join` asks for at most: each address of the token gets `connect_seconds`."""
    return len(where_to_ask(token)) * settings.connect_seconds


async def join(
    identity: Identity, settings: NodeSettings, token: Token, metrics: Metrics
) -> Record:
    """Show the token's voucher to the owner's node; gives what makes this node a member.

    It dials from a host of its own, which listens nowhere and is gone after.

    Raises:
        NotAMember: the owner refused, or whoever answers is not of that network.
        NoPeer: nobody answers at the token's addresses.
    """
    _need_addresses(token)
    addresses = where_to_ask(token)
    if not addresses:
        raise NoPeer(
            f"The owner's node of the network {token.name} was behind a NAT when the token was "
            "made: others reach it over a relay only, and nobody can join over one. Let its port "
            "be forwarded, and ask for a new token."
        )
    problems: list[AiplatError] = []
    seconds = asking_seconds(token, settings)
    async with open_host(identity, settings, metrics, {}, token.psk or None) as host:
        for address in addresses:
            try:
                target = parse_target(address, beyond=True)
                with trio.fail_after(settings.connect_seconds):
                    return await _ask(host, target, token, identity.peer_id)
            except trio.TooSlowError:
                problems.append(_silent(token, seconds))
            except AiplatError as problem:
                problems.append(problem)
    said = [p for kind in (NotAMember, Overloaded) for p in problems if isinstance(p, kind)]
    raise (said or problems)[0]  # what the owner's node said, before what other addresses gave


async def _ask(host: Host, target: Target, token: Token, us: PeerId) -> Record:
    try:
        pipe = await host.open(target.endpoint, target.peer, PROTOCOL)
    except (OSError, NotOurs) as fault:
        raise no_peer(target, fault) from fault
    except Exception as fault:  # of libp2p's many kinds
        if is_another_peer(fault):
            raise _another(target, token) from fault
        raise _fenced(target, token) from fault  # it did not get through
    try:
        await _write(pipe, msgspec.msgpack.encode(JoinAsk(token.voucher)))
        reply = _REPLY.decode(await _read(pipe))
    except (EOFError, *UNREADABLE) as fault:
        raise NoPeer(f"The peer at {target.endpoint} gave no answer that can be read.") from fault
    except Exception as fault:  # of libp2p's many kinds
        raise NoPeer(f"The peer at {target.endpoint} ended the connection: try again.") from fault
    finally:
        pipe.abort()
    if reply.failed is not None:
        raise reply.failed.error()
    return _record(token, reply, us)


def _record(token: Token, reply: JoinReply, us: PeerId) -> Record:
    try:
        mine = unseal(reply.certificate, Certificate, token.network)
    except SealError as fault:
        raise NotAMember(f"The certificate that the owner's node gave is none: {fault}.") from None
    try:
        if reply.revocations:
            unseal(reply.revocations, RevocationList, token.network)
    except SealError as fault:
        raise NotAMember(
            f"The list of the revoked that the owner's node gave is none: {fault}."
        ) from None
    if mine.peer != us:
        raise NotAMember("The owner's node gave the certificate of another peer.")
    addresses = tuple(dict.fromkeys((*token.addresses, *reply.addresses[:32])))
    return Record(
        name=token.name, network=token.network, psk=token.psk, certificate=reply.certificate,
        revocations=reply.revocations, addresses=addresses,
    )  # fmt: skip


def _another(target: Target, token: Token) -> NotAMember:
    return NotAMember(
        f"At {target.endpoint} is a node that has the network's pre-shared key, but it is not the "
        f"owner's of the network {token.name}: that one has moved, or got a new identity, or "
        "another member has its address now. Ask the network's owner for a new token."
        if token.psk
        else f"At {target.endpoint} is another node than the owner's of the public network "
        f"{token.name}: ask the network's owner for a new token."
    )


def _fenced(target: Target, token: Token) -> NotAMember:
    if not token.psk:
        return NotAMember(
            f"What answers at {target.endpoint} ended the connection at once. The token is for a "
            f"public network, {token.name}, without a pre-shared key; a private network answers "
            "so. Ask the network's owner for a new token."
        )
    return NotAMember(
        f"What answers at {target.endpoint} does not have the pre-shared key of the network "
        f"{token.name}: the token is out of date, or another program listens there now. Ask the "
        "network's owner for a new token."
    )


def _silent(token: Token, seconds: float) -> AiplatError:
    places = " or ".join(where_to_ask(token))
    return NoPeer(
        f"Nobody answered at {places} within {seconds:g} s as a member of the network "
        f"{token.name}. The owner's node must run and be reached to join; or it has another "
        "pre-shared key now, and the token is out of date."
    )


# -- the member's side ---------------------------------------------------------------------------


class JoinDoor:
    """Answers newcomers (`Host.handle`).

    Arguments:
        membership: this node's.
        metrics: where hits of bounds are counted.
        addresses: gives where members are reached, complete multiaddrs, best first.
        clock: gives seconds that only grow.
    """

    def __init__(
        self,
        membership: Membership,
        metrics: Metrics,
        addresses: Callable[[], tuple[str, ...]] = lambda: (),
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._addresses = addresses
        self._membership = membership
        self._metrics = metrics
        self._clock = clock
        self._settings = NodeSettings()
        self._recent, self._places = self._counted()

    def open(self, host: Host) -> None:
        """Answer newcomers over this host, within the bounds of its settings."""
        if host.settings != self._settings:
            self._settings = host.settings
            self._recent, self._places = self._counted()
        host.handle(PROTOCOL, self.accept)

    def _counted(self) -> tuple[Recent, HalfOpen]:
        full = partial(self._hit, "joins_at_once")
        return (
            Recent(self._settings.joins_per_minute, self._clock),
            HalfOpen(self._settings.joins_at_once, full, self._clock),
        )

    async def accept(self, pipe: StreamPipe, peer: PeerId, address: str) -> None:
        """Take a stream that a newcomer opened; stays until it is answered.

        It is counted before a byte of it is read: who opens streams and is silent comes too.
        """
        ip = seen_from(address)
        source = source_of(ip) if ip else address
        if not self._recent.may(source):
            self._hit("joins_per_minute")
            await self._refuse(pipe, self._too_often(ip))
            return
        ask: JoinAsk | None = None
        with self._places.place(source) as may:
            if may:
                with trio.move_on_after(self._settings.join_seconds) as scope:
                    ask = await self._asked(pipe)
                    if ask is not None:
                        await self._answer(pipe, ask, peer)
                    return
                if scope.cancelled_caught:
                    self._hit("join_seconds")
                    await pipe.reset()
                    return
        # There was no place, or it went to another: a reply that is begun is not mended by a word.
        await (self._refuse(pipe, _full()) if ask is None else pipe.reset())

    async def _asked(self, pipe: StreamPipe) -> JoinAsk | None:
        try:
            return _ASK.decode(await _read(pipe))
        except (EOFError, *UNREADABLE):
            await pipe.reset()
        except MuxedStreamError:
            pass  # it left
        return None

    async def _answer(self, pipe: StreamPipe, ask: JoinAsk, peer: PeerId) -> None:
        try:
            reply = self._decide(ask, peer)
        except AiplatError as refusal:
            reply = JoinReply(failed=Failed.of(refusal))
        await _say(pipe, reply)

    async def _refuse(self, pipe: StreamPipe, refusal: AiplatError) -> None:
        """Say why not, before it said anything; it has a moment to read it."""
        with trio.move_on_after(REFUSAL_SECONDS):
            await _say(pipe, JoinReply(failed=Failed.of(refusal)))
        await pipe.reset()

    def _too_often(self, ip: str | None) -> Overloaded:
        return Overloaded(
            f"Over {self._settings.joins_per_minute} tries to join came from "
            f"{ip or 'this relay'} within a minute, the bound of the owner's node "
            "(joins_per_minute). Try again in a minute.",
            retry_after=60.0,
        )

    def _hit(self, bound: str) -> None:
        self._metrics.bound_hits.labels(bound=bound).inc()

    def _decide(self, ask: JoinAsk, peer: PeerId) -> JoinReply:
        record = self._membership.record
        if record is None:
            raise NotAMember("The node belongs to no network that could be joined.")
        if peer in self._membership.blocked:
            raise NotAMember("The node blocks this peer.")
        owner = owner_of(self._membership)
        if owner is None:
            raise NotAMember(
                f"The node is a member of the network {record.name}, but only the owner's node "
                "can let others in. Ask the owner for a token with its address."
            )
        certificate = owner.grant(ask.voucher, peer)
        return JoinReply(certificate, record.revocations, self._addresses()[:32])


def _full() -> Overloaded:
    return Overloaded(
        "The owner's node has as many joins under way as it takes (joins_at_once): try again in a "
        "moment.",
        retry_after=PATIENCE_SECONDS,
    )


# -- frames --------------------------------------------------------------------------------------


async def _say(pipe: StreamPipe, reply: JoinReply) -> None:
    with contextlib.suppress(Exception):  # of libp2p's many kinds: the newcomer left
        await _write(pipe, msgspec.msgpack.encode(reply))
        await pipe.finish()
        while await pipe.read():  # until it has it, and closes
            pass


async def _write(pipe: StreamPipe, body: bytes) -> None:
    data = len(body).to_bytes(4, "big") + body
    for start in range(0, len(data), 60_000):
        with trio.CancelScope(shield=True):  # a write that is cut half-way breaks the connection
            await pipe.write(data[start : start + 60_000])
        await trio.lowlevel.checkpoint()


async def _read(pipe: StreamPipe) -> bytes:
    data = bytearray()
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        if len(data) >= 4 and int.from_bytes(data[:4], "big") > MAX_FRAME:
            raise EOFError
        some = await pipe.read()
        if not some:
            raise EOFError
        data += some
    return bytes(data[4 : 4 + int.from_bytes(data[:4], "big")])


__all__ = [
    "PROTOCOL",
    "JoinDoor",
    "asking_seconds",
    "join",
    "needs_no_certificate",
    "without_certificate",
]

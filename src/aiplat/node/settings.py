"""The settings of the node: where it listens, what it waits for, and every bound."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from aiplat.protocol.framing import DEFAULT_MAX_FRAME

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=100_000)]

MIB = 1024 * 1024

LEAST_RATE = 128 * 1024
"""Bytes a second: half a yamux window must pass within the 5 s that a writer waits for it."""


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses, deadlines and bounds of the peer-to-peer side of a node."""

    SECTION: ClassVar[str] = "node"

    listen: Annotated[
        tuple[str, ...],
        Meta(
            description="Multiaddrs to listen on; port 0 picks a free one. Left empty: every "
            "interface for a node that is in a network, loopback for any other.",
            max_length=16,
        ),
    ] = ()
    heartbeat_seconds: Annotated[
        Seconds, Meta(description="After so long without a word to a peer a heartbeat is said.")
    ] = 1.0
    silence_seconds: Annotated[
        Seconds, Meta(description="A channel without a byte for so long ends.")
    ] = 3.0
    frame_seconds: Annotated[
        Seconds,
        Meta(description="A channel on which one frame is not whole after so long ends."),
    ] = 60.0
    connect_seconds: Annotated[
        Seconds, Meta(description="For reaching a peer, all steps together.")
    ] = 10.0
    handshake_seconds: Annotated[
        Seconds, Meta(description="For each handshake: Noise with the muxer, and our own Hello.")
    ] = 5.0
    linger_seconds: Annotated[
        Seconds, Meta(description="For the last words of a channel that is closed.")
    ] = 0.5
    call_seconds: Annotated[
        Seconds, Meta(description="For this node's answer to a peer's small question.")
    ] = 60.0
    answer_seconds: Annotated[
        Seconds,
        Meta(description="A channel whose peer leaves a cancel, or a small question, unanswered "
             "for so long ends."),
    ] = 120.0  # fmt: skip
    write_bytes: Annotated[
        int,
        Meta(ge=1024, le=65_000, description="Bytes of one write; above 60 KB yamux splits it."),
    ] = 60_000
    bulk_bytes: Annotated[
        int,
        Meta(ge=256, le=MIB, description="A frame over so many bytes lets smaller ones go first."),
    ] = 16 * 1024
    outbox_bytes: Annotated[
        int,
        Meta(ge=64 * 1024, le=1024 * MIB, description="Bytes that may wait to leave on a channel."),
    ] = 16 * MIB
    max_frame_bytes: Annotated[
        int, Meta(ge=4096, le=64 * MIB, description="The largest frame, in either direction.")
    ] = DEFAULT_MAX_FRAME
    max_requests_per_channel: Annotated[
        int, Meta(ge=1, le=100_000, description="Requests at once on a channel, each way.")
    ] = 256
    max_channels: Annotated[Count, Meta(description="Peers with a channel at once.")] = 256
    members_share: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Of max_channels, in a public network: kept for members with a "
            "certificate; peers without one have the rest, and at least one.",
        ),
    ] = 0.25
    max_channels_per_source: Annotated[
        Count,
        Meta(
            description="Channels to peers without a certificate from one IPv4 address, or one "
            "IPv6 network of 64 bits."
        ),
    ] = 64
    max_connections: Annotated[Count, Meta(description="libp2p connections at once.")] = 300
    max_connections_per_peer: Annotated[
        Count, Meta(description="Connections at once that one peer may open to this node.")
    ] = 16
    max_unproven_per_source: Annotated[
        Count,
        Meta(
            description="Inbound connections at once from one IPv4 address, or one IPv6 network "
            "of 64 bits, whose peers have no channel here."
        ),
    ] = 64
    connects_per_minute: Annotated[
        Count,
        Meta(
            description="Connections that come from one such source in a minute and lead to no "
            "channel; more are turned away."
        ),
    ] = 3000
    unproven_seconds: Annotated[
        Seconds, Meta(description="An inbound connection whose peer has no channel ends after it.")
    ] = 60.0
    max_half_open: Annotated[
        Count,
        Meta(
            description="Inbound connections whose handshakes are not done. Over it, the oldest "
            "of the source that has most gives way to another source."
        ),
    ] = 32
    max_streams_per_connection: Annotated[
        Count, Meta(description="libp2p streams that a peer may hold open on one connection.")
    ] = 80
    opens_per_minute: Annotated[
        Count,
        Meta(description="Streams opened on one connection in a minute; more cost the peer it."),
    ] = 1200
    max_streams_per_protocol: Annotated[
        Count,
        Meta(
            description="Streams of one protocol (joining, relaying, channels) that a peer may "
            "have at once, all its connections together."
        ),
    ] = 80
    max_unread_bytes: Annotated[
        int,
        Meta(
            ge=MIB,
            le=1024 * MIB,
            description="What may wait unread on all streams of one connection together.",
        ),
    ] = 32 * MIB
    max_unread_bytes_unproven: Annotated[
        int,
        Meta(ge=MIB, le=1024 * MIB, description="The same while its peer has no channel here."),
    ] = 2 * MIB
    max_libp2p_streams: Annotated[
        Count,
        Meta(description="The same for each of libp2p's own protocols, such as the DHT's."),
    ] = 8
    libp2p_stream_seconds: Annotated[
        Seconds, Meta(description="A stream of libp2p's own protocols ends after it.")
    ] = 30.0
    max_peerstore: Annotated[
        Count, Meta(description="Peers that libp2p's own services remember.")
    ] = 1000
    joins_at_once: Annotated[Count, Meta(description="Newcomers that are answered at once.")] = 8
    joins_per_minute: Annotated[
        Count, Meta(description="Tries to join from one source in a minute.")
    ] = 60
    join_seconds: Annotated[Seconds, Meta(description="For answering a newcomer.")] = 10.0
    renewals_per_minute: Annotated[
        Count,
        Meta(
            description="Certificates that one peer may ask for in a minute, its own and those of "
            "members that ask through it."
        ),
    ] = 60
    certificates_seconds: Annotated[
        Seconds,
        Meta(
            description="Between two looks whether the certificates of peers with a channel hold "
            "still; a channel whose peer's has ended, and was not renewed, ends."
        ),
    ] = 10.0
    news_per_minute: Annotated[
        Count,
        Meta(
            description="Messages about its addresses, and lists of the revoked, that a peer may "
            "send in a minute, of each kind; more cost it the channel."
        ),
    ] = 240
    idle_seconds: Annotated[
        Seconds, Meta(description="An inbound connection without a channel ends after so long.")
    ] = 15.0
    rejoin_seconds: Annotated[
        Seconds,
        Meta(description="For taking up another network: until the node listens there."),
    ] = 30.0
    reconnect_min_seconds: Annotated[
        Seconds, Meta(description="The first pause before a lost peer is dialed again.")
    ] = 0.25
    reconnect_max_seconds: Annotated[Seconds, Meta(description="The longest of these pauses.")] = (
        5.0
    )
    reconnect_away_seconds: Annotated[
        Seconds, Meta(description="The longest pause for a peer that was away for minutes.")
    ] = 30.0
    mdns: Annotated[
        bool, Meta(description="Find the network's gateways on the LAN, and be found, by mDNS.")
    ] = True
    finding_seconds: Annotated[
        Seconds, Meta(description="Between two looks for gateways of one's network.")
    ] = 10.0
    max_gateways: Annotated[
        Count, Meta(description="Gateways of its network that a node stays connected to.")
    ] = 8
    min_members: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="Members of its network that a node stays connected to when there are so "
            "many, whatever their roles: when one goes, the others still find each other.",
        ),
    ] = 3
    dht_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=600,
            description="Between two rounds in the DHT, in each of which a node tells its roles "
            "and looks for gateways; finding_seconds while it has none, and longer each time, up "
            "to 600, while it lacks nobody.",
        ),
    ] = 60.0
    hearsay_seconds: Annotated[
        Seconds,
        Meta(description="For trying an address that was only heard of; then it rests."),
    ] = 60.0
    hearsay_rest_seconds: Annotated[
        Seconds, Meta(description="The longest rest of such an address; it doubles each time.")
    ] = 1800.0
    max_known_peers: Annotated[
        Count, Meta(description="Peers to stay connected to, and addresses kept for next time.")
    ] = 64
    max_addresses_per_peer: Annotated[
        int, Meta(ge=1, le=64, description="Addresses of one peer that are tried at once.")
    ] = 8
    relay: Annotated[bool, Meta(description="Relay for members that nobody reaches directly.")] = (
        True
    )
    relay_circuits: Annotated[
        Count, Meta(description="Circuits that this node relays at once; up to 1 MiB each waits.")
    ] = 128
    relay_circuits_per_peer: Annotated[
        Count,
        Meta(
            description="Circuits at once that a peer may have through this node; each is one of "
            "its max_streams_per_connection."
        ),
    ] = 64
    relay_bytes_per_second: Annotated[
        int,
        Meta(ge=0, description="Of one circuit, each way, from 131072 on; 0 sets no limit."),
    ] = 64 * MIB
    relay_idle_seconds: Annotated[
        Seconds, Meta(description="A circuit without a byte for so long ends.")
    ] = 30.0
    nat_relays: Annotated[
        int, Meta(ge=1, le=8, description="Relays to keep while nobody reaches it directly.")
    ] = 2
    nat_check_seconds: Annotated[
        Seconds, Meta(description="Between two looks whether others reach this node directly.")
    ] = 300.0
    nat_probe_seconds: Annotated[
        Seconds, Meta(description="For dialing a peer back, to tell it whether it is reached.")
    ] = 4.0
    nat_probes: Annotated[
        Count, Meta(description="Peers that are dialed back at once; one dial for each peer.")
    ] = 8
    punch: Annotated[
        bool, Meta(description="Try for a direct connection in place of a relayed one.")
    ] = True
    punches: Annotated[
        Count, Meta(description="Tries past a relay at once, one for each peer.")
    ] = 8
    punches_per_minute: Annotated[
        Count, Meta(description="Tries past a relay that one peer may ask for in a minute.")
    ] = 10
    punch_connects: Annotated[
        Count, Meta(description="Times that one try past a relay connects, over all addresses.")
    ] = 100

    def __post_init__(self) -> None:
        """Check the settings that depend on each other."""
        if self.silence_seconds < 2 * self.heartbeat_seconds:
            raise ValueError(
                f"silence_seconds is {self.silence_seconds:g}, but must be at least twice "
                f"heartbeat_seconds, {self.heartbeat_seconds:g}: else every peer is called silent."
            )
        if self.reconnect_max_seconds < self.reconnect_min_seconds:
            raise ValueError(
                f"reconnect_max_seconds is {self.reconnect_max_seconds:g}, but must be at least "
                f"reconnect_min_seconds, {self.reconnect_min_seconds:g}."
            )
        if 0 < self.relay_bytes_per_second < LEAST_RATE:
            raise ValueError(
                f"relay_bytes_per_second is {self.relay_bytes_per_second}, but must be 0 (no "
                f"limit) or at least {LEAST_RATE}: slower, and circuits would break."
            )

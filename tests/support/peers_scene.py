"""A network that a test wrote down, as the pane Peers would be told of it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from aiplat.control.machine import DoctorReply, DoctorStep
from aiplat.control.messages import (
    Done,
    Invitation,
    MemberList,
    MemberStatus,
    ModelStatus,
    NetworkStatus,
    PeerList,
    PeerStatus,
    ReachStatus,
    ShareStatus,
    ShareTerms,
    ShareUser,
    Status,
)
from aiplat.control.series import (
    Exchange,
    SeriesAsk,
    SeriesReply,
    SeriesRow,
    ShareSum,
    Spread,
)
from tests.support.screens import NOW, PEER, ScriptedLink, status

FAST = "12D3KooWBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbFast"
RELAYED = "12D3KooWCcCcCcCcCcCcCcCcCcCcCcCcCcCcCcCcCcCcCcRelay7"
AWAY = "12D3KooWDdDdDdDdDdDdDdDdDdDdDdDdDdDdDdDdDdDdDdDdAway"
OUT = "12D3KooWEeEeEeEeEeEeEeEeEeEeEeEeEeEeEeEeEeEeEeEeEout"
HOSTILE = "12D3KooWFfFfFfFfFfFfFfFfFfFfFfFfFfFfFfFfFfFfFfFfEvil"

PEERS = (
    PeerStatus(
        peer_id=FAST, roles=("processor",), state="connected",
        address=f"/ip4/192.0.2.44/tcp/4001/p2p/{FAST}", agent="aiplat/0.1.0", version="0.1.0",
        latency_ms=1.42, models=("qwen3-8b", "smollm2-135m"), since_seconds=8130.0, slots=32,
        running=5, waiting=2, tokens_per_second=61.0, measured_tokens_per_second=58.4,
        path="direct",
    ),
    PeerStatus(
        peer_id=RELAYED, roles=("gateway", "processor"), state="draining",
        address=f"/ip4/198.51.100.9/tcp/4001/p2p/{FAST}/p2p-circuit/p2p/{RELAYED}",
        agent="aiplat/0.1.0", version="0.1.0", latency_ms=142.7, models=("llama-3.2-3b",),
        note="paused by its owner", since_seconds=261.0, slots=8, running=1, waiting=0,
        tokens_per_second=17.0, path="relayed", via=FAST,
    ),
    PeerStatus(
        peer_id=AWAY, state="connecting", address=f"/ip4/192.0.2.80/tcp/4001/p2p/{AWAY}",
        note="Nobody answers at 192.0.2.80:4001 (connection refused): is the node there running?",
    ),
    PeerStatus(peer_id=OUT, state="blocked"),
    PeerStatus(
        peer_id=HOSTILE, roles=("client",), state="connected",
        agent="[red]evil[/red]\x1b[2J\x1b]0;owned\x07 \u202egnp.exe 漢字の代理人",
        version="[b]9[/b]\x1b[31m", latency_ms=12.0, since_seconds=40.0, path="direct",
        models=("[link=x]モデル\u202e漢字漢字漢字漢字漢字漢字漢字\x9b31m",),
        address=f"/dns4/{'a-very-long-name-' * 12}.example/tcp/4001/p2p/{HOSTILE}",
    ),
)  # fmt: skip

SHARE = ShareStatus(
    state="open", terms=ShareTerms(hours="22-08", max_memory="50%", threads=4),
    changes_in=5400.0, changes_at="16:00",
    users=(
        ShareUser(peer_id=RELAYED, role="gateway", model="smollm2-135m", running=2, tokens=153,
                  since_seconds=12.0),
        ShareUser(peer_id="", role="client", model="smollm2-135m", running=1, tokens=9,
                  since_seconds=3.0),
    ),
    requests=41, tokens=5300, since_seconds=3725.0,
)  # fmt: skip

EXCHANGE = Exchange(
    gave_day=ShareSum(requests=12, completion_tokens=3400),
    gave_month=ShareSum(requests=310, completion_tokens=88_000),
    took_day=ShareSum(requests=1, completion_tokens=211),
)

MEMBERS = MemberList(network="lab", members=(
    MemberStatus(peer_id=PEER, roles=("client", "gateway", "processor"), joined=int(NOW) - 86400,
                 expires=int(NOW) + 29 * 86400, connected=True),
    MemberStatus(peer_id=FAST, roles=("processor",), joined=int(NOW) - 40_000,
                 expires=int(NOW) + 20 * 86400, connected=True),
    MemberStatus(peer_id=AWAY, roles=("client",), joined=int(NOW) - 30_000,
                 expires=int(NOW) - 3600, connected=False),
    MemberStatus(peer_id=OUT, roles=("client",), joined=int(NOW) - 20_000,
                 expires=int(NOW) + 9 * 86400, revoked=True, connected=False),
))  # fmt: skip

DOCTOR = DoctorReply(ok=False, steps=(
    DoctorStep(name="identity", ok=True, text=f"this node is {PEER}"),
    DoctorStep(name="network", ok=True, text="lab (private)"),
    DoctorStep(name="addresses", ok=False,
               text="listens at /ip4/192.0.2.7/tcp/4001; unreachable: behind a NAT that maps "
                    "nothing",
               advice="Forward its port, or run a member that others reach: it relays."),
    DoctorStep(name="dial", ok=True, text="2 peers connected; not reached: …DdDdAway"),
    DoctorStep(name="model", ok=True, text="ready: smollm2-135m"),
))  # fmt: skip

TOKEN = "aiplat1-" + "mzxw6ytboi2dgnbvgy3tqojqmfrggzdfmztwq2lk" * 11


HERE = (
    ModelStatus(name="smollm2-135m", state="ready", processors=1, slots=32, running=3),
    ModelStatus(name="llama-3.2-3b", state="loading", note="layer 12 of 28"),
)


def node(**changes: Any) -> Status:
    """This node: owner of the network, with what it has to say of that.

    Its gateway has more of one model than it runs itself: the fast peer's.
    """
    everywhere = (replace(HERE[0], processors=2, slots=64, running=8), HERE[1])
    usual = status(
        models=everywhere, here=HERE,
        peers=PEERS, share=SHARE,
        reach=ReachStatus(state="direct"),
        network=NetworkStatus(name="lab", key="00" * 32, owner=True,
                              roles=("client", "gateway", "processor"),
                              expires=int(NOW) + 29 * 86400),
    )  # fmt: skip
    return replace(usual, **changes)


def series(ask: SeriesAsk) -> SeriesReply:
    """What the fast peer did: more and more, with a pause. Without a role it counts for two."""
    roles = 1 if ask.role else 2
    rows = tuple(
        SeriesRow(at=ask.since + ask.step * place, name=FAST, requests=2 * roles,
                  errors=(place % 9 == 5) * roles, completion_tokens=place * 40 * roles,
                  first=Spread(mean=0.3, p50=0.28, p95=0.9, p99=1.1))
        for place in range(24) if place % 7 != 3
    )  # fmt: skip
    return SeriesReply(since=ask.since, until=int(NOW), step=ask.step, rows=rows,
                       total=SeriesRow(at=ask.since))  # fmt: skip


def network_link(**says: Any) -> ScriptedLink:
    """A node in that network."""
    usual: dict[str, Any] = {
        "status": node(), "peers": PeerList(peers=PEERS),
        "share": replace(SHARE, exchange=EXCHANGE),
        "series": series, "network/members": MEMBERS, "doctor": DOCTOR,
        "network/invite": Invitation(token=TOKEN, network="lab", roles=("processor",),
                                     expires=int(NOW) + 86400, uses=1),
        "network/create": Done(message="This node owns the network home."),
        "network/join": Done(message="This node is a member of the network lab, as processor."),
        "network/leave": Done(message="This node left the network lab."),
        "network/revoke": Done(message="Revoked."), "drain": Done(message="Drained."),
        "block": Done(message="Shut out."), "unblock": Done(message="In again."),
    }  # fmt: skip
    return ScriptedLink(**{**usual, **says})


def lonely_link(**says: Any) -> ScriptedLink:
    """A node in no network."""
    alone = node(network=None, peers=(), reach=None, share=ShareStatus(state="none",
                 terms=ShareTerms()), roles=("client",), models=(), here=())  # fmt: skip
    usual: dict[str, Any] = {
        "status": alone,
        "peers": PeerList(peers=()),
        "share": ShareStatus(state="none", terms=ShareTerms()),
    }
    return network_link(**{**usual, **says})

"""A doctor's look at a node that runs: its own view, in steps."""

from __future__ import annotations

from aiplat.control.messages import PeerStatus, Status
from aiplat.domain.errors import AiplatError
from aiplat.domain.ids import short
from aiplat.node.addresses import relay_in
from aiplat.runtime.reach import NodeClient
from aiplat.runtime.share_words import in_short
from aiplat.runtime.steps import Steps, few


class Checkup:
    """Asks a node.

    Arguments:
        steps: hears what was found.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def look(self, node: NodeClient) -> None:
        """Take the steps from the node on."""
        try:
            status = node.status()
        except AiplatError as fault:
            self._steps.note("node", False, str(fault))
            return
        roles = " and ".join(status.roles)
        if status.drained or status.state == "draining":
            self._steps.note(
                "node", False, f"runs (pid {status.pid}) as {roles}, and takes no requests",
                "A person drained it: `aiplat drain --off` ends that." if status.drained
                else "It ends: start it again.",
            )  # fmt: skip
        else:
            self._steps.note("node", True, f"runs (pid {status.pid}) as {roles}")
        if status.share is not None and status.share.state in ("paused", "closed", "waiting"):
            self._steps.note("shared", True, in_short(status.share))  # as its owner wants it
        self._reached(status)
        connected = [peer for peer in status.peers if peer.state in ("connected", "draining")]
        self._dialed(status, len(connected))
        is_revoked = status.network is not None and status.network.revoked
        for refusal in status.turned_away:
            self._steps.note(
                "turned away", False, f"by {refusal}",
                "" if is_revoked else "Nothing goes between the two until it lets this node in. If "
                f"it blocks it: an `unblock {status.peer_id[-8:]}` there.",
            )  # fmt: skip
        found = [p for p in connected if "gateway" in p.roles]
        gateways = [f"{short(p.peer_id)} ({p.agent})" for p in found if p.state == "connected"]
        drained = [short(p.peer_id) for p in found if p.state == "draining"]
        if "gateway" in status.roles:
            self._steps.note("gateway", True, f"this node is one itself (aiplat/{status.version})")
        else:
            self._gateway(gateways, drained, status)
        self._models_of(node, status, can_ask=bool(gateways))

    def _reached(self, status: Status) -> None:
        """Where it listens, and whether others reach it there."""
        if not status.addresses:
            self._steps.note("addresses", False, "it listens nowhere", "Its log says why.")
            return
        text, reach = f"listens at {few([_where(a) for a in status.addresses])}", status.reach
        if reach is None or reach.state == "unknown":
            self._steps.note("addresses", True, text)
            return
        # A client needs nobody to reach it: it dials.
        good = reach.state != "unreachable" or status.roles == ("client",)
        self._steps.note(
            "addresses", good, f"{text}; {reach.state}: {reach.why}",
            "Forward its port, or run a member that others reach: it relays.",
        )  # fmt: skip

    def _dialed(self, status: Status, connected: int) -> None:
        missed = [p for p in status.peers if p.state == "connecting" and p.note]
        text = f"{connected or 'no'} peer{'s' * (connected > 1)} connected"
        if connected and missed:
            # One who is away, or has moved, is no fault of this node's: it is told all the same.
            text += f"; not reached: {few([_missed(p) for p in missed])}"
        if connected or not missed:
            # A gateway may be the first of all. What a client lacks is the gateway's step.
            self._steps.note("dial", True, text)
        else:
            self._steps.note("dial", False, text, missed[0].note)

    def _gateway(self, found: list[str], drained: list[str], status: Status) -> None:
        shut = [short(peer.peer_id) for peer in status.peers if peer.state == "blocked"]
        seeks = status.network.searching if status.network is not None else ""
        if drained and not found:
            text = f"{few(drained)} takes no requests: it was drained, or it shuts down"
            advice = "A drain is ended there, by `drain --off`. Or start another gateway."
        else:
            text = few(found) or "none is connected"
            advice = seeks or (
                "Start one, and join its network (`aiplat join`), or name it with --peer."
            )
        if shut:
            advice = f"{few(shut)} is blocked here: `aiplat unblock` lets it in again. {advice}"
        self._steps.note("gateway", bool(found), text, advice)

    def _models_of(self, node: NodeClient, status: Status, *, can_ask: bool) -> None:
        if status.roles == ("processor",):
            found = status.models
        elif "gateway" in status.roles or can_ask:
            try:
                found = node.models()
            except AiplatError as fault:
                self._steps.note("model", False, "the gateway did not tell its models", str(fault))
                return
        else:
            return  # without a gateway nobody knows
        self._steps.models(found)


def _missed(peer: PeerStatus) -> str:
    """Who is not reached, and the first sentence of why."""
    return f"{short(peer.peer_id)} ({peer.note.partition('. ')[0].rstrip('.')})"


def _where(address: str) -> str:
    """An address of this node's own, without its peer id."""
    relay = relay_in(address)
    return address.partition("/p2p/")[0] if relay is None else f"the relay {short(relay)}"

"""What the pane says of the network and of what is wrong, in lines. Knows no widget."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from aiplat.control.messages import Invitation, MemberStatus, NetworkStatus, ReachStatus, Status
from aiplat.tui.text import flat, short_peer

Part = tuple[str, str]
"""A text and its colour, by its name in the theme with a ``$``; none when that is empty. With an
``@`` it is an action's id instead: the text begins with its key, and a click does it."""
Line = tuple[Part, ...]
Day = Callable[[float], datetime]
"""The clock on the wall at a time in seconds since 1970."""

MUTED = "$text-muted"
MAX_TROUBLES = 4


def day(at: float, local: Day) -> str:
    """A date."""
    return local(at).strftime("%Y-%m-%d")


def minute(at: float, local: Day) -> str:
    """A date with the time of day."""
    return local(at).strftime("%Y-%m-%d %H:%M")


# -- the network ---------------------------------------------------------------------------------


def network_line(status: Status, local: Day) -> Line:
    """The network in a line: its name, its kind, whose it is, how this node is reached in it."""
    network = status.network
    if network is None:
        return (("No network yet", "bold"), ("  this node reaches this machine's own only", MUTED))
    if network.revoked:
        return ((flat(network.name), "bold"), ("  ✕ this node was revoked here", "$error"))
    said = ["public" if network.public else "private"]
    said.append("owned by this node" if network.owner else "owned by another node")
    if network.expires and not network.owner:
        said.append(f"certificate until {day(network.expires, local)}")
    elif not network.roles or (network.public and not network.expires):
        said.append("client without a certificate")
    reach = reach_part(status.reach)
    return (
        (flat(network.name), "bold"), (f"  {' · '.join(said)}", MUTED),
        *(((" · ", MUTED), reach) if reach else ()),
    )  # fmt: skip


def reach_part(reach: ReachStatus | None) -> Part | None:
    """How others reach this node: a sign and a word."""
    match reach:
        case ReachStatus(state="direct"):
            return "● reached directly", "$success"
        case ReachStatus(state="relayed", via=via):
            by = ", ".join(f"…{short_peer(peer)}" for peer in via[:2])
            return f"◐ reached by relay {by}".rstrip(), "$warning"
        case ReachStatus(state="unreachable"):
            return "✕ not reached from outside", "$error"
        case ReachStatus():
            return "○ not known yet who reaches it", MUTED
        case _:
            return None


def troubles(status: Status) -> list[Line]:
    """What is wrong with the network, each with its sign; the worst is told first."""
    network, reach = status.network, status.reach
    said = [f"turned away by {flat(line)}" for line in status.turned_away]
    if network is not None and network.searching:
        said.append(flat(network.searching))
    if reach is not None and reach.why and reach.state in ("unreachable", "relayed"):
        said.append(f"{reach.state}: {flat(reach.why)}")
    shown = said[:MAX_TROUBLES]
    more = len(said) - len(shown)
    lines: list[Line] = [(("▲ ", "$warning"), (text, "")) for text in shown]
    if more:
        lines.append(((f"  and {more} more", MUTED),))
    return lines


Keys = Callable[[str], str]
"""The key of an action, by its id."""


def act(keys: Keys, name: str, words: str) -> Part:
    """A key and what it does, to be clicked."""
    return f"{keys(name)} {words}", f"@{name}"


_NETWORK = (
    "A network is some machines whose models answer for each other. Only who was invited is in it, "
    "and what is asked in it stays in it."
)


def nobody(status: Status, others: int, keys: Keys) -> list[Line]:
    """What to do while there is no network, or nobody in it.

    Arguments:
        others: how many peers there are.
    """
    network = status.network
    if network is None:
        return [
            ((_NETWORK, ""),),
            (act(keys, "peers.create", "make one, owned by this node"), ("    ", ""),
             act(keys, "peers.join", "join one, by a token of its owner")),
        ]  # fmt: skip
    if others or network.revoked:
        return []
    first = (act(keys, "peers.invite", "invite a machine"), ("    ", "")) if network.owner else ()
    return [(("Nobody else is here.    ", ""), *first,
             act(keys, "peers.doctor", "see what is wrong"))]  # fmt: skip


# -- members and invitations ---------------------------------------------------------------------


def member_state(member: MemberStatus) -> Part:
    """How a member is: a sign, a word, and their colour."""
    if member.revoked:
        return "✕ revoked", "error"
    return {
        None: ("○ not known", ""), True: ("● connected", "success"),
        False: ("○ away", "text-muted"),
    }[member.connected]  # fmt: skip


def until(member: MemberStatus, now: float, local: Day) -> str:
    """When its certificate ends."""
    return day(member.expires, local) + ("" if member.expires > now else " (over)")


def invited(made: Invitation, local: Day) -> str:
    """What is said of a token."""
    if made.for_anyone:
        return (
            f"For any number of machines as client in the public network {flat(made.network)}, at "
            "any time: the token is no secret. There: aiplat join, and paste it."
        )
    machines = "one machine" if made.uses == 1 else f"{made.uses} machines"
    text = (
        f"For {machines} as {' and '.join(made.roles)} in the network {flat(made.network)}, until "
        f"{minute(made.expires, local)}. There: aiplat join, and paste it. It is a secret: send it "
        "as you would send a key."
    )
    return f"{text}\n\n▲ {flat(made.note)}" if made.note else text


def leaving(network: NetworkStatus) -> str:
    """What comes of leaving."""
    if network.owner:
        return (
            "This node is the owner's: without it nobody can be invited, revoked or renewed, and "
            "the network ends as its certificates do, within 30 days."
        )
    return (
        "This node loses its certificate and finds nobody of the network any more. To come back it "
        "needs a new invitation of the owner's."
    )

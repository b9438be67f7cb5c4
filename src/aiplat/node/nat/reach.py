"""Whether others reach this node: what members saw when they dialed it back. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from aiplat.domain.ids import PeerId, short

State = Literal["unknown", "direct", "relayed", "unreachable"]


class Reach(msgspec.Struct, frozen=True):
    """How others reach this node; `via` are its relays, `why` is a sentence for a person."""

    state: State = "unknown"
    via: tuple[PeerId, ...] = ()
    why: str = "No other member was asked yet."


class DialMe(msgspec.Struct, frozen=True):
    """Asks a member to dial this node, at the ip that the member sees and no other."""

    ports: tuple[int, ...]


class DialedBack(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of it.

    Arguments:
        ip: what the member sees; empty when it cannot tell, and then nothing was dialed.
        reached: the ports of those asked for at which this node answered.
        relays: whether the member would relay for this node.
    """

    ip: str = ""
    reached: tuple[int, ...] = ()
    relays: bool = False


class Seen(msgspec.Struct, frozen=True):
    """A judgement of what members told.

    Arguments:
        direct: whether every member that could tell reached this node; None when none could.
        places: ip and port of each that was reached.
        why: a sentence for a person.
        ips: all that members see, reached or not.
    """

    direct: bool | None
    places: tuple[tuple[str, int], ...] = ()
    why: str = ""
    ips: tuple[str, ...] = ()


def judge(answers: Iterable[DialedBack], ports: Sequence[int]) -> Seen:
    """Tell whether this node is reached directly.

    One who could not reach it is enough for a no: two machines on one LAN reach each other, and
    tell nothing of the world outside.
    """
    told = [answer for answer in answers if _is_ip(answer.ip)]
    if not told:
        return Seen(None, (), "No member with a direct connection could tell.")
    places = tuple(dict.fromkeys((a.ip, port) for a in told for port in a.reached if port in ports))
    ips = tuple(dict.fromkeys(answer.ip for answer in told))
    failed = list(dict.fromkeys(a.ip for a in told if not {*a.reached} & {*ports}))
    if failed:
        return Seen(False, places, _not_reached(failed, ports), ips)
    if all(_is_loopback(ip) for ip, _ in places):
        return Seen(True, places, "Reached directly, by nodes on this machine.", ips)
    where = ", ".join(dict.fromkeys(f"{ip} port {port}" for ip, port in places))
    count = len(told)
    why = f"Reached directly at {where} by {count} member{'s' * (count > 1)} asked."
    return Seen(True, places, why, ips)


def relayed(seen: Seen, relays: Sequence[PeerId]) -> Reach:
    """What a judgement and the relays that are there come to."""
    if seen.direct is None and not relays:
        return Reach("unknown", (), seen.why)
    if seen.direct:
        return Reach("direct", (), seen.why)
    if relays:
        names = " and ".join(short(relay) for relay in relays)
        return Reach("relayed", tuple(relays), f"{seen.why} Relayed by {names}.")
    return Reach(
        "unreachable", (), f"{seen.why} No member that is reached from outside relays for it: "
        "forward the port, or run a gateway where others reach it.",
    )  # fmt: skip


def _not_reached(ips: Sequence[str], ports: Sequence[int]) -> str:
    at = ", ".join(ips)
    if not ports:
        return f"Members see this node at {at}, but it listens on loopback only."
    named = ", ".join(str(port) for port in ports)
    return (
        f"Members see this node at {at}, but nothing answers there on port {named}: "
        "a NAT or a firewall is between."
    )


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(ip: str) -> bool:
    return ipaddress.ip_address(ip).is_loopback

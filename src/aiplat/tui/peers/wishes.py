"""Reads what a person typed into the forms, and makes the wish of it. Knows no widget."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiplat.control.messages import InviteRequest, NetworkCreate, ShareTerms, ShareWish
from aiplat.domain.errors import InvalidRequest, clip
from aiplat.domain.ids import ROLES, Role

_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"([0-9]{1,6}) *([mhdw])")
_NUMBER = re.compile(r"[0-9]{1,9}")
MAX_SPAN = 3650 * _SECONDS["d"]


def seconds(text: str) -> int:
    """Read a span of time: ``90m``, ``24h``, ``7d``, ``2w``.

    Raises:
        InvalidRequest: it is none, or has no end that anyone would see.
    """
    found = _SPAN.fullmatch(text.strip().lower())
    count = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < count <= MAX_SPAN:
        raise InvalidRequest(
            f"{clip(text)!r} is no span of time: write a number and m, h, d or w, such as 24h or "
            f"7d; at most {MAX_SPAN // _SECONDS['d']}d."
        )
    return count


def number(text: str, what: str, least: int = 1) -> int:
    """Read a whole number.

    Raises:
        InvalidRequest: it is none, or less than `least`.
    """
    if not _NUMBER.fullmatch(text.strip()) or int(text) < least:
        raise InvalidRequest(f"{what} must be a whole number from {least} on, not {clip(text)!r}.")
    return int(text)


def invite_wish(values: Mapping[str, str]) -> InviteRequest:
    """What the form of an invitation says.

    Raises:
        InvalidRequest: a value cannot be, or no role is chosen.
    """
    roles: tuple[Role, ...] = tuple(role for role in ROLES if values.get(role))
    if not roles:
        raise InvalidRequest("Choose at least one role: what shall the other machine do?")
    return InviteRequest(
        roles=roles, expires_seconds=seconds(values["expires"]),
        uses=number(values["uses"], "The number of machines"),
    )  # fmt: skip


def network_wish(values: Mapping[str, str]) -> NetworkCreate:
    """What the form of a new network says.

    Raises:
        InvalidRequest: it has no name.
    """
    if not values["name"].strip():
        raise InvalidRequest("Give the network a name, such as home or lab.")
    return NetworkCreate(name=values["name"].strip(), public=bool(values.get("public")))


def token_of(values: Mapping[str, str]) -> str:
    """The token that was pasted; line breaks do it no harm.

    Raises:
        InvalidRequest: there is none, or it is clearly something else.
    """
    token = "".join(values["token"].split())
    if not token.lower().startswith("aiplat"):
        raise InvalidRequest(
            "This is no token: a token begins with aiplat1-. Copy it whole."
            if token
            else "Paste the token here: who owns the network makes it with Invite."
        )
    return token


def terms_wish(values: Mapping[str, str], before: ShareTerms) -> ShareWish:
    """What the form of the terms says: only what is otherwise than before.

    Raises:
        InvalidRequest: the threads are no number.
    """
    hours = values["hours"].strip() or "always"
    memory = values["memory"].strip()
    threads = number(values["threads"].strip() or "0", "The number of threads", 0)
    idle = bool(values["idle"])
    memory = "" if memory.lower() == "none" else memory
    return ShareWish(
        hours=None if hours == before.hours else hours,
        idle_only=None if idle == before.idle_only else idle,
        max_memory=None if memory == before.max_memory else memory or "none",
        threads=None if threads == before.threads else threads,
    )

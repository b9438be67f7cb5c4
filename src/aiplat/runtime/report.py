"""What a node says when it is ready: for a person, or as one line of JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TextIO

import msgspec

from aiplat.control.messages import ModelStatus, NetworkStatus, ReachStatus, Status
from aiplat.domain.errors import ConfigError
from aiplat.runtime.advice import with_home
from aiplat.runtime.log_lines import one_line
from aiplat.runtime.share_words import in_short
from aiplat.runtime.signs import SIGNS, wants_signs

OPEN_NOTICE = (
    "Until this node belongs to a network, every account of this machine can use it and be used "
    "by it."
)
"""Said at a node's first start: loopback is open to every account of a machine."""


def report_ready(
    status: Status,
    *,
    json: bool,
    environ: Mapping[str, str],
    out: TextIO | None = None,
) -> None:
    """Print a node that is ready on stdout.

    Arguments:
        status: the node.
        json: print `status` as one line of JSON instead of words.
        environ: the process's environment: ``NO_COLOR``.
        out: where to; stdout when not given.
    """
    stream = out if out is not None else sys.stdout
    if json:
        text = msgspec.json.encode(status).decode()
    else:
        text = "\n".join(describe(status, signs=wants_signs(stream, environ)))
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"stdout cannot be written: {error.strerror}.") from None


def describe(status: Status, *, signs: bool, columns: int = 0) -> list[str]:
    """Write a node down in lines: who it is, where it is reached, what it does.

    On a terminal of `columns`, an identity or address that would be broken has its own line.
    """
    state = (
        "drained, and takes no requests (`aiplat drain --off` ends that)"
        if status.drained
        else status.state
    )
    head = f"aiplat {status.version} is {state}"
    lines = [f"{SIGNS['start']} {head}" if signs else head]
    rows = [
        ("peer id", [status.peer_id]),
        ("addresses", list(status.addresses)),
        ("http", [f"{status.http}/v1"] if status.http else []),
        ("control", [status.control]),
        ("roles", [", ".join(status.roles)]),
        ("network", [] if status.network is None else [_network(status.network)]),
        ("refused", list(status.turned_away)),
        ("reach", _reach(status.reach)),
        ("seeks", _seeks(status.network)),
        ("models", [_model(model) for model in status.models]),
        ("shared", [] if status.share is None else [in_short(status.share)]),
        ("peers", [f"{peer.peer_id} ({peer.state})" for peer in status.peers]),
    ]
    for name, values in rows:
        for n, value in enumerate(values):
            label, text = f"  {name if n == 0 else '':<10}", with_home(one_line(value))
            if 0 < columns < len(label) + 1 + len(text):
                lines += [label.rstrip()] if label.strip() else []
                lines.append(f"    {text}")
            else:
                lines.append(f"{label} {text}")
    return lines


def _network(network: NetworkStatus) -> str:
    kind = "public" if network.public else "private"
    owner = ", owned by this node" if network.owner else ""
    if network.revoked:
        return f"{network.name} ({kind}): this node was REVOKED by its owner, and is no member"
    return f"{network.name} ({kind}{owner}), a member as {' and '.join(network.roles) or 'nothing'}"


def _reach(reach: ReachStatus | None) -> list[str]:
    if reach is None:
        return []
    return [f"{reach.state}: {reach.why}" if reach.why else reach.state]


def _seeks(network: NetworkStatus | None) -> list[str]:
    return [network.searching] if network is not None and network.searching else []


def _model(model: ModelStatus) -> str:
    state = "cold" if model.cold else model.state
    note = "" if model.cold else model.note  # which says what cold is, at length
    return f"{model.name} ({state}{': ' + note if note else ''})"

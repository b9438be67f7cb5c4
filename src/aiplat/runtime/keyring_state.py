"""Where a home's secrets are kept, and whether they can be, for its people. Holds no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiplat.control.accounts import KeyringState
from aiplat.domain.errors import ConfigError
from aiplat.domain.ids import PeerId, short
from aiplat.runtime.places import Places

if TYPE_CHECKING:
    from aiplat.credentials.credentials import Credentials
    from aiplat.credentials.held import Held


def keyring_state(credentials: Credentials) -> KeyringState:
    """Try the keyring, and tell what is held. Blocks for some seconds at most."""
    report = credentials.report()
    try:
        held = credentials.held()
    except ConfigError:
        held = ()  # the report says why
    return KeyringState(
        backend=report.backend, usable=report.usable, reason=report.reason, mend=report.mend,
        held=tuple(_line(one) for one in held), insecure=sum(one.where == "file" for one in held),
    )  # fmt: skip


def is_known_elsewhere(places: Places) -> bool:
    """Whether somebody is logged in at other gateways than this home's own, and not there."""
    from aiplat.credentials.credentials import Credentials
    from aiplat.node.identity import load_or_create

    if not places.identity.exists():
        return False
    own = load_or_create(places.identity).peer_id
    held = Credentials(own, places.data).held()
    begun = {gateway for one in held if one.kind == "session" for gateway in one.gateways}
    return bool(begun) and own not in begun


def without_node(places: Places) -> KeyringState:
    """The same, while no node runs; makes nothing.

    Raises:
        ConfigError: the home's identity cannot be read.
    """
    from aiplat.credentials.credentials import Credentials
    from aiplat.node.identity import load_or_create

    # A home that never had a node holds nothing: any name will do to try the keyring by.
    known = places.identity.exists()
    peer = load_or_create(places.identity).peer_id if known else PeerId("none")
    return keyring_state(Credentials(peer, places.data))


def _line(held: Held) -> str:
    name = f" {held.name}" if held.name else ""
    user = f" of {held.user}" if held.user else ""
    gateways = " or ".join(short(gateway) for gateway in held.gateways)
    return f"{held.kind}{name}{user} ({held.id}) for the gateway {gateways}, in the {held.where}"

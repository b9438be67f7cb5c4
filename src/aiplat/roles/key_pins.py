"""An API key goes to the gateway that made it and to no other, even when that is the only one."""

from __future__ import annotations

from aiplat.accounts.secret_forms import mark_of, take_apart
from aiplat.domain.errors import InvalidApiKey, NoPeer
from aiplat.domain.ids import PeerId, short


def is_key_of(credential: str, gateway: PeerId) -> bool:
    """Whether a gateway made that key, as far as its form tells (`mark_of`)."""
    try:
        return take_apart(credential, "sk").mark == mark_of(gateway)
    except InvalidApiKey:
        return False


def refuse_if_others(credential: str, gateway: PeerId) -> None:
    """Raise `InvalidApiKey` for what is no key, and `NoPeer` for one of another gateway's."""
    take_apart(credential, "sk")
    if not is_key_of(credential, gateway):
        raise NoPeer(
            f"The API key is of another gateway than {short(gateway)}, and is sent to no other "
            "than its own. Name that one with --peer, or leave AIPLAT_API_KEY out."
        )

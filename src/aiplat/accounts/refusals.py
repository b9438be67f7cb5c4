"""Why a key, a log-in or an account is refused, in words that tell what to do."""

from __future__ import annotations

from aiplat.accounts.directory import Key, User
from aiplat.domain.errors import InvalidApiKey, UserDisabled
from aiplat.domain.ids import PeerId, short


def disabled(user: User) -> UserDisabled:
    """The account is disabled."""
    return UserDisabled(
        f"The account {user.name!r} is disabled by the gateway's operator. Only they can enable it."
    )


def revoked(key: Key) -> InvalidApiKey:
    """The key is revoked."""
    return InvalidApiKey(
        f"The API key {key.name!r} is revoked. `aiplat keys create` makes another."
    )


def expired(key: Key) -> InvalidApiKey:
    """The key's time is over."""
    return InvalidApiKey(
        f"The API key {key.name!r} {'was rotated, and its' if key.replaced_by else 'has'} "
        f"{'overlap is over' if key.replaced_by else 'expired'}. `aiplat keys create` "
        "makes another, `aiplat keys list` shows those that hold."
    )


def session_over(gateway: str) -> InvalidApiKey:
    """The log-in is none, or its time is over, or somebody ended it."""
    return InvalidApiKey(
        f"The session at the gateway {short(PeerId(gateway))} is over: log in again "
        "(`aiplat login`)."
    )

"""Which of keyring's backends keep a secret, and which only seem to.

The one place of keyring, which is imported when it is needed: that takes longer than all else that
a command does.
"""

from __future__ import annotations

import contextlib
import os
from typing import Protocol, cast

from aiplat.credentials.errors import WITHOUT, NoKeyring, nothing_there


class Backend(Protocol):
    """What is used of keyring's `KeyringBackend`."""

    def get_password(self, service: str, username: str, /) -> str | None: ...
    def set_password(self, service: str, username: str, password: str, /) -> None: ...
    def delete_password(self, service: str, username: str, /) -> None: ...


def open_keyring() -> Backend:
    """The backend that a person configured, or the best that works here and now.

    keyring itself keeps its first choice for the life of the process, even if that was none: a node
    that was there before the keyring would never see it. So it is made to choose anew.

    Raises:
        NoKeyring: what is configured cannot be loaded.
    """
    from keyring import backend, core

    with contextlib.suppress(KeyError):  # it has not looked for any yet
        backend.get_all_keyring.reset()
    try:
        core.init_backend()
    except Exception as fault:  # noqa: BLE001 - a configured name may lead to any code
        name = type(fault).__name__
    else:
        return core.get_keyring()
    raise NoKeyring(f"The keyring backend that is configured cannot be loaded ({name}).", _mend())


def members(backend: Backend) -> list[Backend]:
    """The backends behind a chainer, in its order; any other backend is its only one.

    A chainer is never used itself: it may hand a secret to whichever takes it.

    Raises:
        NoKeyring: it chains nothing.
    """
    if "ChainerBackend" not in _lineage(backend):
        return [backend]
    behind = list(cast("list[Backend]", getattr(backend, "backends", ())))
    if not behind:
        raise NoKeyring(
            f"The keyring backend {described(backend)} has none behind it that could keep a "
            "secret.",
            _mend(),
        )
    return behind


def refusal(backend: Backend) -> NoKeyring | None:
    """Why it must not be given a secret, as far as its class tells; None for a real one."""
    lineage, name = _lineage(backend), described(backend)
    if "keyring.backends.fail" in lineage:
        return nothing_there()
    if "keyring.backends.null" in lineage:
        return NoKeyring(f"The keyring backend {name} keeps nothing: it is switched off.", _mend())
    if any("plaintext" in part.lower() for part in lineage):
        return NoKeyring(f"The keyring backend {name} keeps secrets as plain text.", _mend())
    if any(part.startswith("keyrings.alt") for part in lineage):
        # Those that do encrypt ask for a password on the terminal, which a node does not have.
        return NoKeyring(
            f"The keyring backend {name} is of keyrings.alt, where none is safe.", _mend()
        )
    priority = float(getattr(backend, "priority", 0))
    if priority <= 0:
        return NoKeyring(
            f"The keyring backend {name} calls itself unfit (priority {priority:g}).", _mend()
        )
    return None


def keeps_not(backend: Backend, what: str) -> NoKeyring:
    """The error for one that looked real and failed its trial; `what` is what it did."""
    return NoKeyring(f"The keyring backend {described(backend)} {what}.", _mend())


def described(backend: Backend) -> str:
    """Its name in words and logs."""
    return f"{type(backend).__module__}.{type(backend).__qualname__}"


def _lineage(backend: Backend) -> list[str]:
    """The modules and names of its class and those that it is made from."""
    kinds = type(backend).__mro__
    return [part for kind in kinds for part in (kind.__module__, kind.__name__)]


def _mend() -> str:
    """What to do about a backend that must not be used: it depends on who chose it."""
    from keyring.util import platform_

    file = platform_.config_root() / "keyringrc.cfg"
    if "PYTHON_KEYRING_BACKEND" in os.environ:
        mend = "Unset PYTHON_KEYRING_BACKEND, which chose it, start the node anew and try again."
    elif file.exists():
        mend = f"Take what chose it out of {file}, and try again."
    else:
        mend = "Install a real one, such as gnome-keyring, and try again."
    return f"{mend} {WITHOUT}"

"""Why a secret cannot be kept or had, each in a sentence with its mend. No word of a secret.

What a keyring raises is told by the names of its classes alone: its own text may quote what it was
given, and its classes come from packages that are not everywhere.
"""

from __future__ import annotations

import os

from aiplat.domain.errors import ConfigError

WITHOUT = (
    "To do without a keyring, pass the key in AIPLAT_API_KEY, or have it kept as plain text with "
    "--insecure-storage."
)
_UNLOCK = f"Unlock it (a window may be asking for its password) and try again. {WITHOUT}"
_SERVICE = f"See whether its service runs, and try again. {WITHOUT}"


class NoKeyring(ConfigError):
    """There is no keyring that secrets can be kept in, or it does not work now.

    Arguments:
        reason: a sentence that says what is wrong.
        mend: sentences that say what to do.
    """

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(f"{reason} {mend}")
        self.reason = reason
        self.mend = mend


class SecretGone(ConfigError):
    """A credential is listed, but its secret is no longer where it was kept, or is none."""


def too_late(seconds: float) -> NoKeyring:
    """The keyring did not answer in time."""
    return NoKeyring(
        f"The keyring did not answer within {seconds:g} s: it is locked, or it hangs.", _UNLOCK
    )


def nothing_there() -> NoKeyring:
    """Nothing was found on this machine that could keep a secret."""
    if "DBUS_SESSION_BUS_ADDRESS" in os.environ:
        reason = "This machine has no keyring: nothing offers a Secret Service to this session."
        mend = "Install one, such as gnome-keyring, and try again."
    else:
        reason = (
            "The node reaches no keyring: it has no D-Bus session (DBUS_SESSION_BUS_ADDRESS is not "
            "set)."
        )
        mend = (
            "On a desktop, start the node from a terminal there (`aiplat stop` ends this one); on "
            "a server, unlock one first and start the node within it: dbus-run-session -- sh -c "
            "'gnome-keyring-daemon --unlock --components=secrets <FILE && exec aiplat serve' (FILE "
            "has the keyring's password)."
        )
    return NoKeyring(reason, f"{mend} {WITHOUT}")


def explain(fault: BaseException) -> NoKeyring:
    """Make a sentence of what keyring, or what is below it, raised."""
    if isinstance(fault, NoKeyring):
        return fault
    names = [kind.__name__ for kind in type(fault).__mro__]
    if fault.__cause__ is not None:  # InitError is also what a dismissed prompt comes as
        names = [kind.__name__ for kind in type(fault.__cause__).__mro__] + names
    name = type(fault).__name__
    for known in names:
        match known:
            case "KeyringLocked" | "LockedException" | "PromptDismissedException":
                return NoKeyring("The keyring is locked.", _UNLOCK)
            case "NoKeyringError":
                return nothing_there()
            case "PasswordSetError" | "PasswordDeleteError":
                return NoKeyring(f"The keyring refused a change ({name}).", _SERVICE)
            case "ImportError":
                return NoKeyring(f"The keyring's program cannot be loaded ({name}).", WITHOUT)
    return NoKeyring(f"The keyring cannot be reached ({name}).", _SERVICE)

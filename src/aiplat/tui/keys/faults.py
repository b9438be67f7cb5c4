"""What went wrong, by the names of the screen, and what is shown instead of keys then.

Knows no widget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiplat.domain.errors import (
    AiplatError,
    InvalidApiKey,
    InvalidRequest,
    NoPeer,
    PermissionDenied,
    UserDisabled,
)
from aiplat.tui.text import flat

_WORDS: Final = (
    ("say which with --gateway (", "say which in the field Gateway ("),
    ("Say --gateway to send", "Name it in the field Gateway to send"),
    ("Say --gateway to ask another; `aiplat logout` forgets that log-in.",
     "Choose another gateway, or log out to forget that log-in."),
    ("`aiplat logout` forgets it.", "Log out to forget it."),
    ("log in first (`aiplat login`, or `aiplat register`)", "log in first, or register"),
    ("log in again (`aiplat login`)", "log in again"),
    ("Log in again (`aiplat login`)", "Log in again"),
    ("or `aiplat keys rotate` it", "or rotate that one"),
    ("or have it kept as plain text with --insecure-storage",
     "or have it kept as plain text in a file (it is asked before something is kept)"),
    (" `aiplat users invitations` lists them.", " The view Invitations lists them."),
    (" (`aiplat users invitations` lists them)", " (the view Invitations lists them)"),
    (" (The owner of the gateway's machine needs no log-in there: commands act for the operator.)",
     " (The owner of the gateway's machine needs no log-in there.)"),
)  # fmt: skip
"""What the node says for the command line, and what that is called here."""


def in_screen_words(text: str) -> str:
    """Say what the node said by the names of this screen rather than by commands and options."""
    text = flat(text)
    for command, here in _WORDS:
        text = text.replace(command, here)
    return text


def fault_words(fault: AiplatError) -> str:
    """What went wrong, by the names of this screen."""
    if is_invite_only(fault):
        return (
            "This gateway registers only who has an invitation: type the code that its operator "
            "gave you."
        )
    return in_screen_words(fault.message)


def is_invite_only(fault: AiplatError) -> bool:
    """Whether a registration lacked an invitation."""
    return isinstance(fault, PermissionDenied) and fault.param == "invitation"


@dataclass(frozen=True)
class Standing:
    """What is shown instead of keys: what is so, and what one can do.

    Arguments:
        offers: the actions that help, by name.
    """

    title: str
    text: str
    offers: tuple[str, ...] = ()


LOOKING: Final = Standing("One moment", "The gateway is asked who you are …")
ABSENT: Final = Standing(
    "The node is not there",
    "Accounts and keys are asked of a gateway through it. The line above says how it is, and what "
    "starts it.",
)


def standing(fault: AiplatError, registration: str = "") -> Standing:
    """Why there is nothing to show.

    Arguments:
        registration: what was learnt when a person tried to register: ``closed``, ``invite``, or
            nothing.
    """
    told = fault_words(fault)
    if isinstance(fault, InvalidApiKey):
        offers = ("log_in",) if registration == "closed" else ("register", "log_in")
        return Standing("Nobody is logged in here", f"{told} {_HOW[registration]}",
                        (*offers, "gateway"))  # fmt: skip
    if isinstance(fault, UserDisabled):
        text = f"{told} Its operator can let you in again; another account can log in."
        return Standing("This account is shut out", text, ("log_in", "log_out", "gateway"))
    if isinstance(fault, NoPeer):
        text = (
            f"{told} In Peers you create or join a network; a gateway elsewhere is named by its "
            "address when you log in."
        )
        return Standing("No gateway is reached", text, ("log_in", "register", "gateway"))
    if isinstance(fault, InvalidRequest):
        return Standing("That gateway is not known", told, ("gateway",))
    return Standing("Your account cannot be shown", told, ("log_in", "log_out", "gateway"))


_HOW: Final = {
    "": "Register makes an account, where the gateway is open or its operator gave you a code; "
        "with one, log in.",
    "invite": "Registering there needs a code: ask its operator for an invitation. With an "
              "account, log in.",
    "closed": "It takes no registrations: its operator opens it (the setting "
              "accounts.registration). With an account, log in.",
}  # fmt: skip

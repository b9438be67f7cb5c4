"""What a person is told to type: with the home that the command line chose."""

from __future__ import annotations

import re
import shlex

_home = ""


def use_home(folder: str) -> None:
    """Remember the home that the command line chose: what a person is told to type needs it."""
    global _home  # one a process, as stdout is
    _home = folder


def with_home(text: str) -> str:
    """Put the home into each command that `text` tells a person to type.

    One that belongs to another node is written in double quotes, and stays as it is.
    """
    if not _home:
        return text
    return re.sub(r"`aiplat (?!--home)", lambda _: f"`aiplat --home {shlex.quote(_home)} ", text)

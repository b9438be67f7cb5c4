"""What a pane says while the node has not told it anything yet. Pure."""

from __future__ import annotations

from typing import Final

from aiplat.tui.world import Phase

_WITHOUT: Final[dict[Phase, str]] = {
    "starting": "The node starts; this is asked for when it is there.",
    "failed": "The node could not be started: the line above says why, and which key tries again.",
    "lost": "The node is not there: the line above says why, and what starts it.",
}


def waiting_words(phase: Phase, asking: str, fault: str = "") -> str:
    """What is said in place of what is not known yet.

    Arguments:
        phase: how the node is.
        asking: what is said while it is asked.
        fault: what it said instead of an answer; empty while it said nothing.
    """
    if phase == "attached" and fault:
        return "The node could not tell: the line above says why. It is asked again and again."
    return _WITHOUT.get(phase, asking)

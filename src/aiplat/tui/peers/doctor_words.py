"""What a look at each step found, in lines. Knows no widget."""

from __future__ import annotations

from collections.abc import Sequence

from aiplat.control.machine import DoctorReply, DoctorStep
from aiplat.tui.peers.folding import beside
from aiplat.tui.peers.words import Line
from aiplat.tui.text import flat

_MARGIN = 13


def doctor_lines(found: DoctorReply, cells: int) -> list[Line]:
    """The sum, and the steps with a sign each; below one that is not well what to do.

    Arguments:
        cells: that a line has.
    """
    lines: list[Line] = [(_sum(found.steps),), ()]
    for step in found.steps:
        sign = ("✓ ", "$success") if step.ok else ("✕ ", "$error")
        lines += beside(flat(step.name), (flat(step.text), ""), cells, margin=_MARGIN, first=sign)
        if step.advice and not step.ok:
            lines += beside("", (f"→ {flat(step.advice)}", "bold"), cells, margin=_MARGIN,
                            first=("  ", ""))  # fmt: skip
    return lines


def _sum(steps: Sequence[DoctorStep]) -> tuple[str, str]:
    bad = sum(not step.ok for step in steps)
    if not bad:
        return "● All is well from here to an answer.", "$success"
    return f"▲ {bad} of {len(steps)} steps {'are' if bad > 1 else 'is'} not well.", "$warning"

"""Draws a token for a camera, two modules of the code in a cell. Knows no widget."""

from __future__ import annotations

BORDER = 2
_HALVES = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
"""What is light is drawn: on a dark ground, so that it is one whatever colours there are."""


def drawn(token: str) -> list[str]:
    """The lines of the code, to be drawn white on black.

    Arguments:
        token: it is written in capitals, which take half the room and mean the same.
    """
    import segno

    code = segno.make(token.upper(), error="l", micro=False)
    rows = [[bool(module) for module in row] for row in code.matrix_iter(border=BORDER)]
    if len(rows) % 2:
        rows.append([True] * len(rows[0]))
    return [
        "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]

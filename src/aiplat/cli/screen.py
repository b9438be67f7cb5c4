"""The command ``aiplat tui``."""

from __future__ import annotations

import typer

from aiplat.cli.face import face_of


def tui(context: typer.Context) -> None:
    """Open the full screen: chat, peers, keys, usage and logs of this node and its network.

    Starts a node in the background when none runs. F1 says what the keys do, Ctrl-Q leaves; the
    node stays. It needs a terminal of at least 60 columns and 18 lines.

    \b
    Example:
      aiplat tui
    """
    from aiplat.cli.tui import open_screen

    code = open_screen(face_of(context))
    if code:
        raise typer.Exit(code)

"""``aiplat tui``: the full screen."""

from __future__ import annotations

import os
import sys

import typer

from aiplat.cli.face import Face, face_of


def tui(context: typer.Context) -> None:
    """Open the full screen: chat, peers, keys, usage and logs of this node and its network.

    Starts a node in the background when none runs. F1 says what the keys do, Ctrl-Q leaves; the
    node stays. It needs a terminal of at least 60 columns and 18 lines.

    \b
    Example:
      aiplat tui
    """
    from aiplat.domain.errors import ConfigError

    face = face_of(context)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            "`aiplat tui` needs a terminal, and this is none. Through pipes and in scripts use "
            '`aiplat ask "…"` or `aiplat chat`, `aiplat status` and `aiplat peers --json`.'
        )
    if os.environ.get("TERM", "") in ("", "dumb"):
        raise ConfigError(
            f"`aiplat tui` needs a terminal that can move its cursor, but TERM is "
            f"{os.environ.get('TERM', '')!r}. Use `aiplat chat`, which needs lines alone."
        )
    _run(face)


def _run(face: Face) -> None:
    import gc

    gc.disable()  # 1 ms in 10 of the start goes into looking at modules that stay
    from aiplat.control.aio import AsyncControlClient
    from aiplat.runtime.credential import credential_of
    from aiplat.tui.app import AiplatApp
    from aiplat.tui.preferences import PreferencesFile

    places = face.places
    places.prepare()
    link = AsyncControlClient(
        places.control_socket(), log=places.log, credential=credential_of(face.environ)
    )
    preferences = PreferencesFile(places.data / "terminal.json")
    app = AiplatApp(link, lambda say: _start(face, say), preferences=preferences)
    gc.freeze()
    gc.enable()
    app.run()
    if app.return_code:
        raise typer.Exit(app.return_code)


def _start(face: Face, say: object) -> None:
    """Start the node of this home; its steps go to the screen, not to stderr, which it draws on."""
    from aiplat.cli.ensure import ensure

    def tell(text: str, sign: str = "") -> None:
        assert callable(say)
        say(text)

    ensure(face, say=tell)

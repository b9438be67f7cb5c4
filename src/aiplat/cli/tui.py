"""``aiplat tui``: the full screen."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, TextIO

from aiplat.cli.face import Face

if TYPE_CHECKING:
    from aiplat.control.aio import AsyncControlClient
    from aiplat.control.calls import Call, Reply
    from aiplat.control.events import Event
    from aiplat.control.messages import Ask
    from aiplat.tui.link import Say


def open_screen(face: Face) -> int:
    """Open the full screen, and give the exit code once the person leaves.

    Raises:
        InvalidRequest: this is no terminal, or one that cannot be drawn on.
    """
    _check_terminal()
    import gc

    gc.disable()  # a tenth of the start would go into looking at modules that stay
    from aiplat.tui.app import AiplatApp
    from aiplat.tui.preferences import PreferencesFile

    places = face.places
    places.prepare()
    app = AiplatApp(
        _Link(face),
        lambda say: _start(face, say),
        preferences=PreferencesFile(places.data / "terminal.json"),
    )
    gc.freeze()
    gc.enable()
    app.run()
    return app.return_code or 0


def _check_terminal() -> None:
    from aiplat.domain.errors import InvalidRequest

    ends = {
        "standard input": sys.stdin,
        "standard output": sys.stdout,
        "standard error, which it draws on,": sys.__stderr__,  # Textual's own choice
    }
    others = [name for name, stream in ends.items() if not _is_terminal(stream)]
    if others:
        raise InvalidRequest(
            f"`aiplat tui` needs a terminal, and its {' and '.join(others)} "
            f"{'is' if len(others) == 1 else 'are'} none. Through pipes and in scripts use "
            '`aiplat ask "…"` or `aiplat chat`, `aiplat status` and `aiplat peers --json`.'
        )
    if os.environ.get("TERM", "") in ("", "dumb"):
        raise InvalidRequest(
            "`aiplat tui` needs a terminal that can move its cursor, but TERM is "
            f"{os.environ.get('TERM', '')!r}. Use `aiplat chat`, which needs lines alone."
        )


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether it is one; a program that was started with it closed has None there."""
    return stream is not None and not stream.closed and stream.isatty()


class _Link:
    """The node of a home; its client is made, and imported, when it is first asked."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._made: AsyncControlClient | None = None

    def _client(self) -> AsyncControlClient:
        """The client; made anew while no node is known, whose socket may come to lie elsewhere."""
        from aiplat.control.aio import AsyncControlClient
        from aiplat.runtime.credential import credential_of

        places = self._face.places
        path = places.control_socket()
        if self._made is None or self._made.path != path:
            key = credential_of(self._face.environ)
            self._made = AsyncControlClient(path, log=places.log, credential=key)
        return self._made

    async def call(self, call: Call[Reply]) -> Reply:
        """Put one question."""
        return await self._client().call(call)

    def ask(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """Ask a prompt."""
        return self._client().ask(ask)

    def follow(self, request: str) -> AsyncGenerator[Event, None]:
        """Hear an answer that the node keeps."""
        return self._client().follow(request)


def _start(face: Face, say: Say) -> None:
    """Start the node of this home; its steps go to the screen, not to stderr, which it draws on."""
    from aiplat.cli.ensure import ensure

    def tell(text: str, sign: str = "") -> None:
        say(text)

    ensure(face, asks=False, say=tell)  # a processor's owner wants to see it, too

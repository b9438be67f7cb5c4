"""``aiplat open``: the node's web page, with its owner logged in."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of

if TYPE_CHECKING:
    from pathlib import Path

    from aiplat.control.sessions import OpenLink

_SECONDS = 3.0
_PAGE = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={url}">'


def open_page(
    context: typer.Context,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the link, and open no browser.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Open the node's web page, logged in as its owner.

    It makes a link that works once, for two minutes (accounts.open_seconds), prints it, and opens
    it in the browser; with --print or --json it prints it alone. Whoever has the link is the
    owner: show it to nobody. Who is logged in here as somebody else logs out first.

    \b
    Examples:
      aiplat open
      aiplat open --print
    """
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.control.accounts import Nothing
    from aiplat.control.sessions import OpenLink
    from aiplat.domain.errors import NotReady

    at = at_gateway(context, None)
    face = face_of(context)
    _, status = face.running()
    if "gateway" not in status.roles:
        raise NotReady(
            f"The node of this home is {' and '.join(status.roles)}, and no gateway: it has no "
            "accounts, and its page nobody to log in. Open the page of its gateway, on the "
            "gateway's machine."
        )
    base = at.client.access().base_url.removesuffix("/v1")
    _check_door(base)
    made = at.ask("open", Nothing(), OpenLink)
    link = f"{base}/open#{made.code}"
    if json:
        output.print_json({"url": link, "expires": made.expires, "gateway": made.gateway})
        return
    output.secret(link)
    opened = not only_print and has_screen(os.environ) and _browse(face.places.state, link)
    _say(made, opened=opened, wanted=not only_print)


def _check_door(base: str) -> None:
    """See that somebody listens there, before a link is made that leads nowhere.

    Raises:
        NotReady: there is no door, or it is not reached.
    """
    import socket
    from urllib.parse import urlsplit

    from aiplat.domain.errors import NotReady

    if not base:
        raise NotReady("The node has no HTTP door yet: it starts. Try again in a moment.")
    found = urlsplit(base)
    port = found.port or (443 if found.scheme == "https" else 80)
    try:
        socket.create_connection((found.hostname or "", port), _SECONDS).close()
    except OSError as fault:
        raise NotReady(
            f"The node's HTTP door at {base} is not reached ({fault}). `aiplat doctor` looks why; "
            "`aiplat serve --http HOST:PORT` chooses another place for it."
        ) from None


def has_screen(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Tell whether a browser with windows can come up: a text one would take the terminal."""
    if platform in ("darwin", "win32"):
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def _browse(folder: Path, link: str) -> bool:
    """Open the link in the browser; whether one took it.

    The browser is given a file that leads there: its command line, with the link in it, could be
    read by all accounts of the machine.
    """
    import html
    import webbrowser

    from aiplat.domain.errors import ConfigError
    from aiplat.runtime.private import write_private

    page = folder / "open.html"
    try:
        write_private(page, _PAGE.format(url=html.escape(link)))
        return webbrowser.open(page.as_uri())
    except (ConfigError, webbrowser.Error):
        return False


def _say(made: OpenLink, *, opened: bool, wanted: bool) -> None:
    from aiplat.cli.account_words import when

    until = f"The link works once, until {when(made.expires)}."
    if opened:
        output.say(f"Opened in your browser. {until}", "done")
    elif wanted:
        output.say(f"No browser could be opened: open the link in one of this machine. {until}")
    else:
        output.say(until)

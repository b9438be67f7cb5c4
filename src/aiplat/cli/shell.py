"""``aiplat env``: what a shell needs so that other programs use this node."""

from __future__ import annotations

import shlex

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of


def env(context: typer.Context, json: options.Json = False) -> None:
    """Point programs of the OpenAI API at this node.

    Prints the lines that a shell needs.

    The key is this installation's own: it works on this machine, for this account.

    \b
    Examples:
      eval "$(aiplat env)"
      aiplat env --json
    """
    from aiplat.domain.errors import NotReady

    client, _ = face_of(context).running()
    access = client.access()
    if not access.base_url:
        raise NotReady("The node has no HTTP door yet: try again in a moment.")
    values = {
        "OPENAI_BASE_URL": access.base_url.rstrip("/") + "/v1",
        "OPENAI_API_KEY": access.api_key,
    }
    if json:
        output.print_json(values)
    else:
        output.data(
            "".join(f"export {name}={shlex.quote(text)}\n" for name, text in values.items())
        )

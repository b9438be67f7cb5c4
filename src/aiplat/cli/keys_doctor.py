"""``aiplat keys doctor``: whether this machine can keep a secret, and what to do when not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from aiplat.cli import options, output
from aiplat.cli.face import Face, face_of

if TYPE_CHECKING:
    from aiplat.control.accounts import KeyringState


def doctor(context: typer.Context, json: options.Json = False) -> None:
    """Say which keyring keeps keys and sessions, why one cannot, and what to do.

    Works without a node too. Exit code 0 when secrets can be kept.

    \b
    Examples:
      aiplat keys doctor
      aiplat keys doctor --json | jq -r .reason
    """
    from aiplat.cli.account_words import keyring_lines
    from aiplat.cli.whole import give
    from aiplat.runtime.credential import VARIABLE

    face = face_of(context)
    state = _state(face)

    def say(state: KeyringState) -> None:
        is_set, columns = bool(face.environ.get(VARIABLE)), output.width(sys.stdout)
        lines = keyring_lines(state, columns, environment=is_set)
        output.data("\n".join(lines) + "\n")

    give(state, say, json=json)
    if not state.usable:
        raise typer.Exit(1)


def _state(face: Face) -> KeyringState:
    """Ask the node, which is who keeps them; without one look here."""
    from aiplat.control.client import NoNode

    try:
        client, _ = face.running()
    except NoNode:
        from aiplat.runtime.keyring_state import without_node

        return without_node(face.places)
    return client.keyring()

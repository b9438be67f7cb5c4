"""``aiplat doctor``: every step from this home to an answer, out loud."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of

if TYPE_CHECKING:
    from aiplat.runtime.doctor import Step


def doctor(context: typer.Context, json: options.Json = False) -> None:
    """Look at each step: identity, network, certificate, node, addresses, dial, gateway, model.

    Says which fails and what to do; works without a node too. Exit code 0 when all is well.

    \b
    Example:
      aiplat doctor
    """
    from aiplat.runtime.doctor import Doctor
    from aiplat.runtime.lock import node_runs
    from aiplat.runtime.reach import connect

    places = face_of(context).places
    node = connect(places) if node_runs(places.node_lock) else None
    looked = Doctor(places, face_of(context).loaded, (lambda step: None) if json else _say)
    looked.look(node)
    if json:
        output.print_json({"ok": looked.is_well, "steps": looked.steps})
    if not looked.is_well:
        raise typer.Exit(1)


def _say(step: Step) -> None:
    mark = "ok  " if step.ok else "FAIL"
    output.data(f"{mark}  {step.name:<12}{output.flat(step.text)}\n")
    if step.advice:
        output.data(f"      {'':<12}{output.with_home(output.flat(step.advice))}\n")

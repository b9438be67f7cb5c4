"""``aiplat doctor``: every step from this home to an answer, out loud."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of

if TYPE_CHECKING:
    from aiplat.runtime.doctor import Step


def doctor(context: typer.Context, json: options.Json = False) -> None:
    """Look at each step: identity, network, certificate, addresses, dial, gateway, model.

    Says which fails and what to do; works without a node too. Exit code 0 when all is well.

    \b
    Example:
      aiplat doctor
    """
    from aiplat.control.client import NodeLost
    from aiplat.runtime.doctor import Doctor
    from aiplat.runtime.lock import node_runs
    from aiplat.runtime.reach import running_node

    face = face_of(context)
    status = None
    if node_runs(face.places.node_lock):
        try:
            _, status = running_node(face.places)
        except NodeLost as fault:
            output.failed(str(fault))
            raise typer.Exit(1) from None
    looked = Doctor(face.places, face.loaded, (lambda step: None) if json else _say)
    looked.look(status)
    if json:
        output.print_json({"ok": looked.is_well, "steps": looked.steps})
    if not looked.is_well:
        raise typer.Exit(1)


def _say(step: Step) -> None:
    mark = "ok  " if step.ok else "FAIL"
    output.data(f"{mark}  {step.name:<12}{output.flat(step.text)}\n")
    if step.advice:
        output.data(f"      {'':<12}{output.with_home(output.flat(step.advice))}\n")

"""``aiplat doctor``: every step from this home to an answer, out loud."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of
from aiplat.runtime.advice import with_home

if TYPE_CHECKING:
    from aiplat.runtime.steps import Step


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
        output.print_json({"ok": looked.is_well, "steps": [_with_home(s) for s in looked.steps]})
    if not looked.is_well:
        raise typer.Exit(1)


def _with_home(step: Step) -> Step:
    from msgspec.structs import replace

    return replace(step, text=with_home(step.text), advice=with_home(step.advice))


def _say(step: Step) -> None:
    mark = "ok  " if step.ok else "FAIL"
    columns = output.width(sys.stdout)
    output.data(_beside(f"{mark}  {step.name:<12}", with_home(output.flat(step.text)), columns))
    if step.advice:
        advice = with_home(output.flat(step.advice))
        output.data(_beside(" " * _MARGIN, advice, columns))


_MARGIN = len("FAIL  ") + 12
_NARROWEST = 2 * _MARGIN


def _beside(label: str, text: str, columns: int) -> str:
    """Write a text beside its label, broken between words on a terminal of `columns`."""
    import textwrap

    if columns <= _NARROWEST:
        return f"{label}{text}\n"
    return textwrap.fill(
        text, columns, initial_indent=label, subsequent_indent=" " * _MARGIN,
        break_long_words=False, break_on_hyphens=False,
    ) + "\n"  # fmt: skip

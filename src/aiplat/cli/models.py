"""``aiplat models``: what can be asked for, and how a model gets onto this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of

if TYPE_CHECKING:
    from aiplat.control.messages import ModelStatus

models = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="See and get models.\n\n\b\nExamples:\n  aiplat models list\n"
    "  aiplat models pull smollm2-135m",
    add_completion=False,
)


@models.command("list")
def list_models(context: typer.Context, json: options.Json = False) -> None:
    """List the models that can be asked for now.

    \b
    Examples:
      aiplat models list
      aiplat models list --json | jq -r '.models[].name'
    """
    client, _ = face_of(context).running()
    found = client.models()
    if json:
        output.print_json({"models": found})
    elif found:
        output.data(_table(found, output.width(sys.stdout)))
    else:
        output.say("No processor offers a model: start one with `aiplat serve --model NAME`.")


@models.command("pull")
def pull_model(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A known model, or a local folder.")],
    json: options.Json = False,
) -> None:
    """Get a model onto this machine.

    It is fetched, checked and converted once.

    \b
    Example:
      aiplat models pull smollm2-135m
    """
    from aiplat.cli.progress import pull
    from aiplat.domain.errors import ConfigError
    from aiplat.engine.catalogue import ECHO, canonical
    from aiplat.runtime.roles import NO_PROCESSOR, can_run_models

    if canonical(name) != ECHO and not can_run_models():
        raise ConfigError(NO_PROCESSOR)  # it could not be converted
    path = pull(face_of(context), name)
    if json:
        output.print_json({"model": name, "path": None if path is None else str(path)})
    else:
        output.say(f"The model {name} is ready{f' in {path}' if path else ''}.", "done")


def _table(found: tuple[ModelStatus, ...], columns: int = 0) -> str:
    """Write a row for each model; a line for each fact where a row has more than `columns`."""
    rows = [("NAME", "STATE", "PROCESSORS", "SLOTS", "RUNNING", "WAITING", "CONTEXT", "NOTE")]
    rows += [
        (output.flat(m.name), m.state, str(m.processors), str(m.slots), str(m.running),
         str(m.waiting), str(m.context or "-"), output.flat(m.note))
        for m in found
    ]  # fmt: skip
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    if 0 < columns < max(len(line.rstrip()) for line in lines):
        head, *others = rows
        lines = [
            f"{name.lower():<11} {value}" if name != "NAME" else value
            for row in others
            for name, value in zip(head, row, strict=True)
            if value
        ]
    return "".join(line.rstrip() + "\n" for line in lines)

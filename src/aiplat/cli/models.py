"""``aiplat models``: what can be asked for, and how a model gets onto this machine and off it."""

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
    help="See, get and remove models.\n\n\b\nExamples:\n  aiplat models list\n"
    "  aiplat models pull smollm2-135m\n  aiplat models pull org/name",
    add_completion=False,
)


@models.command("list")
def list_models(context: typer.Context, json: options.Json = False) -> None:
    """List the models that can be asked for now, and those on this machine.

    Without a node: the models that were pulled.

    \b
    Examples:
      aiplat models list
      aiplat models list --json | jq -r '.models[].name'
    """
    from aiplat.control.client import NoNode
    from aiplat.control.messages import ModelList
    from aiplat.runtime.own_models import lying_here

    face = face_of(context)
    try:
        client, _ = face.running()
        listed, runs = client.model_list(), True
    except NoNode:
        listed, runs = ModelList(models=(), on_disk=lying_here(face.places.cache)), False
    if json:
        output.print_json(listed)
        return
    found = (*listed.models, *listed.on_disk)
    if found:
        output.data(_table(found, output.width(sys.stdout)))
    if not runs:
        there = "these are the models on this machine's disk."
        none = "and no model was pulled: `aiplat models pull NAME`."
        output.say(f"No node runs here: {there if found else none}")
    elif not listed.models:
        output.say("No processor offers a model: start one with `aiplat serve --model NAME`.")


@models.command("pull")
def pull_model(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A known model; org/name[@revision][:file.gguf] of the Hugging Face hub; or a "
            "local folder or GGUF file.",
        ),
    ],
    json: options.Json = False,
) -> None:
    """Get a model onto this machine.

    It is fetched, checked and, where it is a GGUF file, converted, once. An interrupted pull is
    gone on with by the next. HF_HOME, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE hold.

    \b
    Examples:
      aiplat models pull smollm2-135m
      aiplat models pull org/name
      aiplat models pull org/name-GGUF:name.Q8_0.gguf
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


@models.command("offer")
def offer_model(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A pulled model, or the whole path of a local one."),
    ],
    off: Annotated[bool, typer.Option("--off", help="Offer it no more.")] = False,
    json: options.Json = False,
) -> None:
    """Let the node that runs here offer a model that lies on this machine.

    It does so at once and after each restart, until `--off`.

    \b
    Examples:
      aiplat models offer org/name
      aiplat models offer org/name --off
    """
    from aiplat.control.machine import ServeWish

    client, _ = face_of(context).running()
    done = client.serve_model(ServeWish(model=name, off=off))
    if json:
        output.print_json({"model": name, "offered": not off})
    else:
        output.say(done.message, "done")


@models.command("rm")
def remove_model(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A pulled model.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: options.Json = False,
) -> None:
    """Remove a pulled model from this machine's disk, once nobody uses it.

    Every home of this account shares the models.

    \b
    Examples:
      aiplat models rm org/name
      aiplat models rm smollm2-135m --yes
    """
    from aiplat.control.client import NoNode
    from aiplat.control.messages import ModelName
    from aiplat.engine.removing import on_disk, remove
    from aiplat.runtime.own_models import removed

    face = face_of(context)
    own, folders, size = on_disk(name, face.places.cache)
    if not _confirmed(own, [str(folder) for folder in folders], size, yes=yes):
        output.say("Nothing was removed.")
        raise typer.Exit(1)
    try:
        client, _ = face.running()
        done = client.remove_model(ModelName(model=own))
    except NoNode:
        done = removed(own, remove(own, face.places.cache))
    if json:
        output.print_json({"removed": own, "bytes": size})
    else:
        output.say(done.message, "done")


def _confirmed(name: str, folders: list[str], size: int, *, yes: bool) -> bool:
    from aiplat.domain.errors import InvalidRequest

    output.say(f"This removes the model {name}: {_mib(size)} in {' and '.join(folders)}.")
    if yes:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidRequest("Nobody can be asked without a terminal: add --yes to remove it.")
    return typer.confirm("Remove it?", err=True)


def _mib(size: int) -> str:
    return f"{max(1, round(size / (1024 * 1024)))} MiB" if size else "-"


def _when(seconds: int) -> str:
    """The day and minute of a time, where the person is."""
    from datetime import UTC, datetime

    if not seconds:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _table(found: tuple[ModelStatus, ...], columns: int = 0) -> str:
    """Write a row for each model; a line for each fact where a row has more than `columns`."""
    rows = [("NAME", "STATE", "SIZE", "LAST USE", "PROCESSORS", "SLOTS", "RUNNING", "WAITING",
             "CONTEXT", "DOES", "NOTE")]  # fmt: skip
    rows += [
        (output.flat(m.name), m.state, _mib(m.bytes), _when(m.last_used), str(m.processors),
         str(m.slots), str(m.running), str(m.waiting), str(m.context or "-"), ", ".join(m.can),
         output.flat(m.note))
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

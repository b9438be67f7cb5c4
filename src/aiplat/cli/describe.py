"""Writes every command down as Markdown: ``python -m aiplat.cli.describe > docs/commands.md``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

_INTRODUCTION = """\
# Commands

Made by `python -m aiplat.cli.describe > docs/commands.md`. Do not edit: a command is described
where it is defined. `aiplat COMMAND --help` says the same.

`--home DIR`, before or behind any command, puts all of the node's files under one folder, but the
models (`AIPLAT_HOME` does the same). Data goes to stdout, messages to stderr; every command that
tells something has `--json`. Without a command `aiplat` opens the full screen on a terminal, and
chats elsewhere. `aiplat --install-completion` sets up the shell's completion.

| exit code | what it means |
|---|---|
| 0 | done |
| 1 | it failed |
| 2 | it was called wrongly |
| 3 | that is not allowed |
| 4 | no peer could be reached |
| 5 | it took too long |
| 130 | it was interrupted |
"""

_EXAMPLES = "\b\n"
"""Before a paragraph of help that is shown as it is written."""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its whole name, such as ``keys create``, in the order of the help."""
    from aiplat.cli.app import app

    root: Any = typer.main.get_command(app)
    yield from _below(root, "")


def document() -> str:
    """All of them as a page."""
    return "\n".join([_INTRODUCTION, *(_entry(name, command) for name, command in commands())])


def _below(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        whole = f"{prefix}{name}"
        yield whole, command
        if hasattr(command, "commands"):
            yield from _below(command, f"{whole} ")


def _entry(name: str, command: Any) -> str:
    context = command.make_context(f"aiplat {name}", [], resilient_parsing=True)
    usage = command.get_usage(context).removeprefix("Usage: ")
    level = "##" if " " not in name else "###"
    parts = [f"{level} aiplat {name}", *_help(command.help or "")]
    if not hasattr(command, "commands"):
        parts.append(f"```text\n{' '.join(usage.split())}\n```")
    rows = [record for one in command.params if (record := one.get_help_record(context))]
    if rows:
        table = [f"| `{_cell(what)}` | {_cell(help_)} |" for what, help_ in rows]
        parts.append("\n".join(["| | |", "|---|---|", *table]))
    return "\n\n".join(parts) + "\n"


def _help(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if not paragraph.startswith(_EXAMPLES):
            yield " ".join(_plain(paragraph).split())
            continue
        title, _, lines = paragraph.removeprefix(_EXAMPLES).partition("\n")
        shown = "\n".join(line.removeprefix("  ") for line in lines.splitlines())
        yield f"{title}\n\n```sh\n{shown}\n```"


def _plain(text: str) -> str:
    """Angle brackets as text: they are no HTML."""
    return text.replace("<", "\\<")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201  # the page

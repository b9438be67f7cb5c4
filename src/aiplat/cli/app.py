"""The commands of ``aiplat``. What they need is imported when they run."""

from __future__ import annotations

from typing import Annotated

import typer

from aiplat.cli.accounts import login, logout, password, register, whoami
from aiplat.cli.ask import ask
from aiplat.cli.chat import chat
from aiplat.cli.db import db
from aiplat.cli.doctor import doctor
from aiplat.cli.explain import explain
from aiplat.cli.face import Face
from aiplat.cli.history import history
from aiplat.cli.invite import invite, join
from aiplat.cli.keys import keys
from aiplat.cli.logs import logs
from aiplat.cli.models import models
from aiplat.cli.network import network
from aiplat.cli.open import open_page
from aiplat.cli.peers import block, drain, peers, unblock
from aiplat.cli.reset import reset
from aiplat.cli.screen import tui
from aiplat.cli.serve import serve
from aiplat.cli.sessions import sessions
from aiplat.cli.settings import settings
from aiplat.cli.share import share
from aiplat.cli.shell import env
from aiplat.cli.status import status
from aiplat.cli.stop import stop
from aiplat.cli.usage import usage
from aiplat.cli.users import users

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="An AI inference network that lives in a terminal.\n\n"
    "Without a command it is `aiplat tui` on a terminal, and `aiplat chat` elsewhere.\n\n"
    '\b\nExample:\n  aiplat ask "What is the capital of France?"',
)
for command in (
    tui, ask, chat, serve, status, peers, invite, join, drain, block, unblock, share, explain,
    doctor, logs, env, register, login, logout, whoami, password, usage, stop, reset,
):  # fmt: skip
    app.command()(command)
app.command("open")(open_page)
app.add_typer(models, name="models")
app.add_typer(network, name="network")
app.add_typer(keys, name="keys")
app.add_typer(users, name="users")
app.add_typer(sessions, name="sessions")
app.add_typer(settings, name="settings")
app.add_typer(db, name="db")
app.add_typer(history, name="history")


def _show_version(wanted: bool) -> None:
    if wanted:
        from aiplat import __version__

        typer.echo(f"aiplat {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    home: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Put all of the node's files under this folder, but the models. "
            "AIPLAT_HOME does the same.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Take what holds for every command."""
    context.obj = Face(home)
    if context.invoked_subcommand is None:
        context.invoke(chat, context)

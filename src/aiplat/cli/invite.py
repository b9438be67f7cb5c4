"""``aiplat invite`` and ``aiplat join``: how a machine comes into a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import amounts, options, output
from aiplat.cli.face import Face, face_of
from aiplat.cli.homes import with_or_without_node
from aiplat.cli.network import day, tell
from aiplat.cli.serve import RoleName

if TYPE_CHECKING:
    from aiplat.control.messages import Invitation
    from aiplat.domain.ids import Role

_MAX_TOKEN = 16 * 1024
_PIPE_SECONDS = 60.0
_ENDING_SECONDS = 10.0


def invite(
    context: typer.Context,
    role: Annotated[
        list[RoleName] | None,
        typer.Option("--role", help="What it will be; repeatable. A client without it."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long it can be used: 90m, 24h (the default), 7d."),
    ] = None,
    uses: Annotated[
        int | None, typer.Option(metavar="N", help="How many machines may use it; 1 if not said.")
    ] = None,
    qr: Annotated[bool, typer.Option("--qr/--no-qr", help="Draw it too, on a terminal.")] = True,
    json: options.Json = False,
) -> None:
    """Make a token with which another machine joins this network.

    The token is a secret, and stays one: nobody joins with it once it is used or over, but a
    private network's holds the pre-shared key that hides the network. Send it as you would a key.
    A client's of a public network is none, and makes any number of clients.

    \b
    Examples:
      aiplat invite --role processor --expires 24h
      aiplat invite --role client --uses 5 --json | jq -r .token
    """
    from aiplat.control.messages import InviteRequest

    wanted: list[RoleName] = role or [RoleName.client]
    roles: tuple[Role, ...] = tuple(dict.fromkeys(chosen.value for chosen in wanted))
    wish = InviteRequest(
        roles=roles,
        expires_seconds=amounts.span("24h" if expires is None else expires, "--expires"),
        uses=1 if uses is None else uses,
    )
    made = with_or_without_node(
        face_of(context), lambda client: client.invite(wish), lambda n: n.invite(wish)
    )
    if made.for_anyone and (expires is not None or uses is not None):
        raise typer.BadParameter(
            "a client of a public network needs no certificate: its token serves any number of "
            "machines at any time, and neither bounds it. Leave them out.",
            param_hint="--expires, --uses",
        )
    if json:
        output.print_json(made)
        return
    _explain(made)
    if qr and sys.stdout.isatty() and sys.stderr.isatty():
        _draw(made.token)
    output.data(made.token + "\n")


def _explain(made: Invitation) -> None:
    if made.for_anyone:
        output.say(
            f"For any number of machines as client in the public network {made.network}, at any "
            "time: such a client needs no certificate, and the token is no secret. There: "
            '"aiplat join", and paste the token.'
        )
        return
    machines = "one machine" if made.uses == 1 else f"{made.uses} machines"
    output.say(
        f"For {machines} as {' and '.join(made.roles)} in the network {made.network}, until "
        f'{day(made.expires)}. There: "aiplat join", and paste the token.'
    )
    if made.note:
        output.say(made.note)


def _draw(token: str) -> None:
    """Draw it for a camera, if it fits the terminal."""
    import io

    import segno

    if not (sys.stderr.encoding or "").lower().startswith("utf"):
        return  # it is drawn with half blocks
    code = segno.make(token.upper(), error="l", micro=False)  # capitals take half the room
    across = code.symbol_size(border=_BORDER)[0]
    rows = (across + 1) // 2
    columns, lines = output.size(sys.stderr)
    if across <= columns and rows <= lines:
        drawn = io.StringIO()
        code.terminal(drawn, border=_BORDER, compact=True)
        sys.stderr.write(drawn.getvalue() + "\n")
        sys.stderr.flush()
    else:
        output.say(f"(A terminal of {across} columns and {rows} lines shows it as a QR code too.)")


_BORDER = 1


def join(
    context: typer.Context,
    token: Annotated[
        str | None,
        typer.Argument(metavar="TOKEN", help="Better not here: leave it out and be asked."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read it from a file; `-` is stdin.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Join the network of a token.

    Without one it asks, or reads stdin when something is piped in. A token on the command line
    stays in the shell's history and is seen by ps, and with it a private network's pre-shared
    key; the prompt, --file and stdin keep it out.

    \b
    Examples:
      aiplat join
      aiplat join --file token.txt
    """
    import trio

    from aiplat.control.messages import JoinRequest

    text = _token(token, file)
    wish = JoinRequest(token=text)
    _say_whom(face_of(context), text)
    done = with_or_without_node(
        face_of(context),
        lambda client: client.join_network(wish),
        lambda networks: trio.run(networks.join, text),
    )
    _let_it_end(face_of(context))
    tell(done, json=json)


def _let_it_end(face: Face) -> None:
    """Wait for a background node that gives way to one with the certificate's roles: until it is
    gone, the next command would find it ending."""
    import time

    from aiplat.domain.errors import AiplatError
    from aiplat.runtime.lock import node_runs
    from aiplat.runtime.reach import connect

    until = time.monotonic() + _ENDING_SECONDS
    while node_runs(face.places.node_lock) and time.monotonic() < until:
        try:
            status = connect(face.places).status()
            if status.state == "ready" or status.drained:
                return  # it stays
        except AiplatError:
            pass  # its door is closed: it ends
        time.sleep(0.05)


def _say_whom(face: Face, text: str) -> None:
    """Say at once whom it asks: an owner's node that is away takes its time."""
    from aiplat.domain.errors import InvalidRequest
    from aiplat.node.membership.files import NetworkFiles
    from aiplat.node.membership.joining import (
        asking_seconds,
        needs_no_certificate,
        where_to_ask,
    )
    from aiplat.node.settings import NodeSettings
    from aiplat.runtime.networks import read_token

    try:
        token = read_token(text)
    except InvalidRequest:
        return  # the one who is asked to join says what is wrong with it
    in_one = NetworkFiles(face.places.network).is_in_network()  # it is refused at once
    addresses = where_to_ask(token)
    if in_one or not addresses or needs_no_certificate(token):
        return
    places = [address.partition("/p2p/")[0] for address in addresses]
    seconds = asking_seconds(token, face.loaded[NodeSettings])
    output.say(
        f"Asking the owner's node at {output.flat(' or '.join(places))}, for up to {seconds:g} s …"
    )


def _token(argument: str | None, file: Path | None) -> str:
    from aiplat.domain.errors import ConfigError, InvalidRequest

    if argument is not None and file is not None:
        raise InvalidRequest("Give the token or --file, not both.")
    if argument is not None:
        _refuse_reusable(argument)
        return argument
    if file is not None and str(file) != "-":
        try:
            with file.open("rb") as source:
                return _text(source.read(_MAX_TOKEN + 1))
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    if file is None and sys.stdin is not None and sys.stdin.isatty():
        return str(typer.prompt("Token", hide_input=True, err=True, default="", show_default=False))
    return _text(_piped()) if sys.stdin is not None else ""


def _piped() -> bytes:
    """Read stdin to its end, or to more than a token has.

    Raises:
        DeadlineExceeded: it did not end in time.
    """
    import time

    from aiplat.cli.prompts import has_input
    from aiplat.domain.errors import DeadlineExceeded

    stdin, data, deadline = sys.stdin.buffer, b"", time.monotonic() + _PIPE_SECONDS
    while len(data) <= _MAX_TOKEN:
        if not has_input(stdin, deadline - time.monotonic()):
            raise DeadlineExceeded(
                f"No whole token came on stdin within {_PIPE_SECONDS:g} s. Pipe it in and close "
                "the pipe, or use --file."
            )
        chunk = stdin.read1(_MAX_TOKEN)  # type: ignore[union-attr]  # what is piped is buffered
        if not chunk:
            break
        data += chunk
    return data


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _refuse_reusable(text: str) -> None:
    """A command line is seen by other accounts, and stays in the shell's history."""
    from aiplat.domain.errors import InvalidRequest
    from aiplat.node.membership.joining import needs_no_certificate
    from aiplat.runtime.networks import read_token

    token = read_token(text)
    uses = token.opened().uses
    if uses != 1 and not needs_no_certificate(token):
        raise InvalidRequest(
            f"This token is for {uses} machines, and a command line is seen by others and kept in "
            "the shell's history: run `aiplat join` without it and paste it, or use --file."
        )

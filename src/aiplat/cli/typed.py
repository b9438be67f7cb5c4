"""What a person types besides the command line, or a pipe gives in its place: secrets and names.

A secret is never shown, never said again, and in no message.
"""

from __future__ import annotations

import sys
import time

import typer

from aiplat.cli import output
from aiplat.cli.prompts import has_input, piped_stdin
from aiplat.domain.errors import ConfigError, DeadlineExceeded, InvalidRequest

TRIES = 3
"""How often a thing is asked for, in all: a gateway lets as many wrong passwords pass at once."""
_LONGEST = 4096
_PIPE_SECONDS = 60.0


def is_human() -> bool:
    """Tell whether a person can be asked: stdin is a terminal."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def new_password(name: str) -> str:
    """Ask for a new password, twice; without a terminal it is the next line of stdin, once.

    Raises:
        InvalidRequest: the two differed each time, or it is empty.
    """
    if not is_human():
        return piped_line("password")
    for _ in range(TRIES):
        first = hidden(f"New password for {output.flat(name)}")
        if not first:
            output.say("It is empty.")
        elif first == hidden("The same again"):
            return first
        else:
            output.say("The two differ.")
    raise InvalidRequest(f"No password was typed twice alike, in {TRIES} tries.")


def password(name: str) -> str:
    """Ask for a password once; without a terminal it is the next line of stdin."""
    return hidden(f"Password for {output.flat(name)}") if is_human() else piped_line("password")


def hidden(prompt: str) -> str:
    """Ask at the terminal for what is not shown there.

    Raises:
        ConfigError: the terminal cannot hide it.
        Abort: the person ended it with Ctrl-D.
    """
    import getpass
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(f"{prompt}: ")
        except getpass.GetPassWarning:
            raise ConfigError(
                "This terminal cannot hide what is typed. Pipe it in on one line instead, from a "
                "file that only you can read."
            ) from None
        except UnicodeDecodeError:
            raise _not_text("What was typed") from None
        except EOFError:
            raise typer.Abort from None


def line(prompt: str) -> str:
    """Ask at the terminal for a line that is shown.

    Raises:
        Abort: the person ended it with Ctrl-D.
    """
    sys.stderr.write(f"{output.flat(prompt)}: ")
    sys.stderr.flush()
    try:
        text = sys.stdin.readline(_LONGEST)
    except UnicodeDecodeError:
        raise _not_text("What was typed") from None
    if not text:
        raise typer.Abort
    return text.strip()


def piped_line(what: str, *, needed: bool = True) -> str:
    """Read the next line of stdin, without its end; what comes after it stays there.

    Arguments:
        what: it is, for the messages.
        needed: if not, nothing may come, which is "".

    Raises:
        InvalidRequest: it is empty and needed, or it is too long or no text.
        DeadlineExceeded: neither a line nor the end came in time.
    """
    line = _next_line(what).removesuffix(b"\r")
    if not line and needed:
        raise InvalidRequest(
            f"No {what} came on stdin. Pipe it in on one line, or run this on a terminal, which "
            "asks for it."
        )
    if len(line) > _LONGEST:
        raise InvalidRequest(f"The {what} on stdin has more than {_LONGEST} bytes. Give one line.")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise _not_text(f"The {what} on stdin") from None


def _next_line(what: str) -> bytes:
    stdin, data, deadline = piped_stdin(), b"", time.monotonic() + _PIPE_SECONDS
    while stdin is not None and len(data) <= _LONGEST:
        if not has_input(stdin, deadline - time.monotonic()):
            raise DeadlineExceeded(
                f"No {what} came on stdin within {_PIPE_SECONDS:g} s. Pipe it in on one line, or "
                "run this on a terminal."
            )
        # One byte at a time: what a buffer took of the next line `select` would not see.
        byte = stdin.read1(1)  # type: ignore[attr-defined]  # what is piped is buffered
        if byte in (b"", b"\n"):
            break
        data += byte
    return data


def _not_text(what: str) -> InvalidRequest:
    return InvalidRequest(f"{what} is not UTF-8 text. Set your terminal, or the file, to UTF-8.")


def refuse_unasked(doing: str, *, yes: bool) -> None:
    """See that somebody can confirm what cannot be taken back.

    Raises:
        InvalidRequest: it was not said with ``--yes``, and there is no terminal.
    """
    if not yes and not is_human():
        raise InvalidRequest(f"Nobody can be asked without a terminal: add --yes to {doing} it.")


def confirmed(name: str, doing: str) -> bool:
    """Have a name typed again, at most `TRIES` times; nothing typed is no."""
    for _ in range(TRIES):
        typed = line(f"Type {name} to {doing} it, nothing to leave it")
        if typed == name:
            return True
        if not typed:
            return False
        output.say("That is another name.")
    return False

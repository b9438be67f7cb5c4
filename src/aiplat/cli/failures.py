"""The one place where a failure becomes the terminal's text and an exit code.

The message always goes to stderr; with ``--json`` one object ``{"error": {…}}`` also goes to
stdout, where a program reads.
"""

from __future__ import annotations

import sys
from typing import Any

import typer

from aiplat.cli import output
from aiplat.domain import errors
from aiplat.domain.errors import AiplatError
from aiplat.runtime.advice import with_home

DONE = 0
FAILED = 1
USAGE = 2
NOT_ALLOWED = 3
NO_PEER = 4
DEADLINE = 5
INTERRUPTED = 130

_CODES: dict[type[AiplatError], int] = {
    errors.InvalidRequest: USAGE,
    errors.UnsupportedParameter: USAGE,
    errors.InvalidApiKey: NOT_ALLOWED,
    errors.PermissionDenied: NOT_ALLOWED,
    errors.NotAMember: NOT_ALLOWED,
    errors.UserDisabled: NOT_ALLOWED,
    errors.NoPeer: NO_PEER,
    errors.NoProcessor: NO_PEER,
    errors.DeadlineExceeded: DEADLINE,
}
"""What is not here has failed: exit code 1."""


class Failure(Exception):
    """A command failed after it had something to tell: an error, and what a program gets with it.

    Arguments:
        error: what went wrong.
        extra: fields of the JSON object beside ``error``.
    """

    def __init__(self, error: AiplatError, **extra: object) -> None:
        super().__init__(str(error))
        self.error = error
        self.extra = extra


def exit_code(error: AiplatError) -> int:
    """Tell how a command ends that failed with `error`."""
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    return FAILED


def as_json(error: AiplatError) -> dict[str, Any]:
    """Write an error for a program."""
    return {
        "code": error.code,
        "message": with_home(str(error)),
        "param": error.param,
        "retry_after": error.retry_after,
        "recoverable": error.recoverable,
        "exit_code": exit_code(error),
    }


def tell(error: AiplatError, *, json: bool, extra: dict[str, object] | None = None) -> int:
    """Say what went wrong, and give the exit code."""
    output.failed(str(error))
    if json:
        output.print_json({"error": as_json(error), **(extra or {})})
    return exit_code(error)


def tell_usage(error: typer.TyperException, *, json: bool) -> int:
    """Say how the command line was wrong, in one sentence and a way on."""
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "aiplat")
    message = error.format_message().replace("Value error, ", "")
    if message.startswith("Usage:"):  # a group without a command: its help is the message
        output.say(message)
        message = "A command is missing."
    else:
        end = "" if message.endswith(("?", ".")) else "."
        output.failed(f"{message}{end} See `{path} --help`.")
    if json:
        usage = {"code": "usage", "message": message, "param": None, "exit_code": USAGE}
        output.print_json({"error": usage})
    return USAGE


def tell_unexpected(error: BaseException, *, json: bool, debug: bool) -> int:
    """Say that it is our own fault; the trace is for who asks with ``DEBUG=1``."""
    if debug:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return tell(AiplatError(f"This is a fault of aiplat: {what}. DEBUG=1 shows where."), json=json)

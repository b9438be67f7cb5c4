"""The command ``aiplat``: runs what was asked and turns how it went into an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from aiplat.cli import failures, output
from aiplat.cli.app import app
from aiplat.domain.errors import AiplatError


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    output.prepare_streams()
    sys.exit(run(list(sys.argv[1:] if argv is None else argv)))


def run(arguments: list[str]) -> int:
    """Run the command that `arguments` name, and give its exit code."""
    json = "--json" in _before_end(arguments)
    try:
        code = app(args=_home_first(arguments), prog_name="aiplat", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else failures.DONE
    except failures.Failure as failure:
        return failures.tell(failure.error, json=json, extra=failure.extra)
    except AiplatError as error:
        return failures.tell(error, json=json)
    except (KeyboardInterrupt, typer.Abort):
        return failures.INTERRUPTED
    except output.ReaderLeft:
        return _reader_left()
    except typer.TyperException as error:
        return failures.tell_usage(error, json=json)
    except Exception as error:  # noqa: BLE001  # the last place: it becomes a sentence
        return failures.tell_unexpected(error, json=json, debug=bool(os.environ.get("DEBUG")))


def _reader_left() -> int:
    """End quietly when who read our output has enough, as `head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the last flush complains again
    return failures.DONE


def _before_end(arguments: list[str]) -> list[str]:
    """Give what stands before ``--``: behind it nothing is an option."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _home_first(arguments: list[str]) -> list[str]:
    """Move ``--home DIR`` before the command: it may stand behind it too."""
    head, tail = _before_end(arguments), arguments[len(_before_end(arguments)) :]
    moved: list[str] = []
    kept: list[str] = []
    while head:
        if head[0] == "--home" and len(head) > 1:
            moved, head = moved + head[:2], head[2:]
        elif head[0].startswith("--home="):
            moved, head = moved + head[:1], head[1:]
        else:
            kept, head = kept + head[:1], head[1:]
    return moved + kept + tail

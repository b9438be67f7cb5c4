"""The command ``aiplat``: runs what was asked and turns how it went into an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from aiplat.cli import output
from aiplat.runtime.advice import use_home

_DONE, _FAILED = 0, 1


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    output.prepare_streams()
    sys.exit(run(list(sys.argv[1:] if argv is None else argv)))


def run(arguments: list[str]) -> int:
    """Run the command that `arguments` name, and give its exit code."""
    ordered = _home_first(arguments)
    home = _home_of(ordered)
    use_home(home)
    try:
        if _is_front(ordered[_home_words(ordered) :]):
            return _front(home)
        return _run(arguments)
    except output.ReaderLeft:  # as `head` does, who has enough
        return _drop_output(_DONE)
    except output.Unwritable as error:
        output.failed(str(error))
        return _drop_output(_FAILED)


def _is_front(words: list[str]) -> bool:
    """Whether the full screen is wanted: by its name, or by none where a person sits there."""
    if words:
        return words == ["tui"]
    ends = (sys.stdin, sys.stdout, sys.__stderr__)  # None where the shell closed them
    return all(end is not None and end.isatty() for end in ends)


def _front(home: str) -> int:
    """Open the full screen without what the other commands need: a fifth of a second is saved."""
    from aiplat.cli.face import Face
    from aiplat.cli.tui import open_screen
    from aiplat.domain.errors import AiplatError

    try:
        return open_screen(Face(home or None))
    except AiplatError as error:
        from aiplat.cli import failures

        return failures.tell(error, json=False)
    except KeyboardInterrupt:
        return 130


def _run(arguments: list[str]) -> int:
    import typer

    from aiplat.cli import failures
    from aiplat.cli.app import app
    from aiplat.domain.errors import AiplatError

    json = "--json" in _before_end(arguments)
    try:
        code = app(args=_home_first(arguments), prog_name="aiplat", standalone_mode=False)
        output.data("")
        return code if isinstance(code, int) else failures.DONE
    except failures.Failure as failure:
        return failures.tell(failure.error, json=json, extra=failure.extra)
    except AiplatError as error:
        return failures.tell(error, json=json)
    except (KeyboardInterrupt, typer.Abort):
        if sys.stderr.isatty():
            output.say("")  # behind the terminal's ^C
        return failures.INTERRUPTED
    except (output.ReaderLeft, output.Unwritable):
        raise
    except typer.TyperException as error:
        return failures.tell_usage(error, json=json)
    except Exception as error:  # noqa: BLE001  # the last place: it becomes a sentence
        return failures.tell_unexpected(error, json=json, debug=bool(os.environ.get("DEBUG")))


def _drop_output(code: int) -> int:
    """Drop what could not be written, or the interpreter's last flush complains again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code


def _before_end(arguments: list[str]) -> list[str]:
    """Give what stands before ``--``: behind it nothing is an option."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _home_words(arguments: list[str]) -> int:
    """How many words in front say `--home`."""
    words = 0
    while words < len(arguments) and arguments[words].partition("=")[0] == "--home":
        words += 1 if "=" in arguments[words] else 2
    return words


def _home_of(arguments: list[str]) -> str:
    """Give what `--home` says, which stands first; empty without it."""
    home = ""
    while arguments and arguments[0].partition("=")[0] == "--home":
        _, equals, value = arguments[0].partition("=")
        home = value if equals else next(iter(arguments[1:]), "")
        arguments = arguments[1 if equals else 2 :]
    return home


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

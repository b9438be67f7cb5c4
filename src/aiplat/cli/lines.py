"""Where a conversation's lines come from: a person at a terminal, or a pipe."""

from __future__ import annotations

import contextlib
import sys

from aiplat.cli.prompts import check_text, decode
from aiplat.domain.errors import InvalidRequest

PROMPT = "> "
_MARK = "\u200b"
"""No width, and never typed: what Enter adds to a line that readline edits."""


class Lines:
    """Reads lines from stdin.

    Arguments:
        limit: the most bytes of a line.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self.human = sys.stdin is not None and sys.stdin.isatty()
        if self.human and sys.stdout.isatty():
            with contextlib.suppress(ImportError):
                _edit_lines()

    def next(self) -> str | None:
        """Give the next line without its end; None when there are no more.

        Raises:
            InvalidRequest: it is not UTF-8, or too long.
            KeyboardInterrupt: Ctrl-C.
        """
        self._count += 1
        line = self._typed() if self.human else self._piped()
        if line is not None:
            check_text(line)
        return line

    def _typed(self) -> str | None:
        if sys.stdout.isatty():
            return _edited()
        sys.stderr.write(PROMPT)  # stdout is for what is piped on
        sys.stderr.flush()
        data = sys.stdin.buffer.readline()
        return decode(data, "The line").rstrip("\n") if data else None

    def _piped(self) -> str | None:
        if sys.stdin is None:
            return None
        data = sys.stdin.buffer.readline(self._limit + 1)
        if len(data) > self._limit:
            raise InvalidRequest(f"Line {self._count} is longer than {self._limit} bytes.")
        if not data:
            return None
        return decode(data, f"Line {self._count} of stdin").rstrip("\r\n")


def _edit_lines() -> None:
    """Give `input` line editing and history.

    readline keeps a byte back that may begin a character, and drops it at Enter: of Latin-1's
    "caf\xe9" it gives "caf". So Enter types one more character first, which pushes it out.
    """
    import readline

    if "libedit" in (readline.__doc__ or "") or sys.stdin.encoding.lower() != "utf-8":
        return  # the one drops nothing, and elsewhere each byte is a character
    readline.set_auto_history(False)  # it would hold the mark
    readline.parse_and_bind(r'"\C-x\C-m": accept-line')
    for enter in (r"\C-m", r"\C-j"):
        readline.parse_and_bind(rf'"{enter}": "{_MARK}\C-x\C-m"')


def _edited() -> str | None:
    try:
        line = input(PROMPT).removesuffix(_MARK)
    except EOFError:
        sys.stdout.write("\n")
        return None
    except UnicodeDecodeError as error:
        return decode(error.object, "The line")
    if line and "readline" in sys.modules:
        import readline

        readline.add_history(line)
    return line

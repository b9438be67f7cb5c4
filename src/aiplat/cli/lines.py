"""Where a conversation's lines come from: a person at a terminal, or a pipe."""

from __future__ import annotations

import contextlib
import sys

from aiplat.cli.prompts import check_text, decode
from aiplat.domain.errors import InvalidRequest

PROMPT = "> "


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
                import readline  # noqa: F401  # gives `input` its line editing and history

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
            try:
                return input(PROMPT)
            except EOFError:
                sys.stdout.write("\n")
                return None
        sys.stderr.write(PROMPT)  # stdout is for what is piped on
        sys.stderr.flush()
        return sys.stdin.readline().rstrip("\n") or None

    def _piped(self) -> str | None:
        if sys.stdin is None:
            return None
        data = sys.stdin.buffer.readline(self._limit + 1)
        if len(data) > self._limit:
            raise InvalidRequest(f"Line {self._count} is longer than {self._limit} bytes.")
        if not data:
            return None
        return decode(data, f"Line {self._count} of stdin").rstrip("\r\n")

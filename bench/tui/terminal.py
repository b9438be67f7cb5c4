"""Runs a program on a pseudo-terminal, and tells when it first showed something."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence

_SEQUENCES = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])"
)
_ENOUGH = 20
"""Characters that make a first paint: more than a stray word before the screen is taken."""


def spawn(
    command: Sequence[str], environ: Mapping[str, str], columns: int, rows: int
) -> tuple[int, int]:
    """Start a program on a terminal of its own; gives its process id and the terminal's end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], list(command), dict(environ))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return pid, terminal


def shown(data: bytes) -> int:
    """How many characters a person sees of it, spaces left out."""
    text = _SEQUENCES.sub(b"", data).decode("utf-8", "ignore")
    return sum(character.isprintable() and not character.isspace() for character in text)


def seconds_to_paint(
    command: Sequence[str],
    environ: Mapping[str, str],
    needle: bytes = b"",
    *,
    limit: float = 60.0,
) -> tuple[float, float]:
    """Start a program, and stop it once it was seen.

    Arguments:
        needle: what is shown when it can be used; empty for the first paint alone.
        limit: seconds after which it is given up.

    Returns:
        seconds to the first paint, and to the needle.

    Raises:
        TimeoutError: it did not show it.
    """
    began = time.monotonic()
    pid, terminal = spawn(command, environ, 120, 40)
    data, first = b"", 0.0
    try:
        while time.monotonic() - began < limit:
            if not select.select([terminal], [], [], 0.02)[0]:
                continue
            try:
                data += os.read(terminal, 65536)
            except OSError:
                break
            if not first and shown(data) >= _ENOUGH:
                first = time.monotonic() - began
            if first and needle in data:
                return first, time.monotonic() - began
        raise TimeoutError(f"{command[0]} showed nothing within {limit:g} s: {data[-300:]!r}")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def run_to_end(
    command: Sequence[str], environ: Mapping[str, str], *, limit: float, columns: int, rows: int
) -> int:
    """Run a program on a terminal that is read all the time; gives its exit code.

    Raises:
        TimeoutError: it did not end.
    """
    pid, terminal = spawn(command, environ, columns, rows)
    end = time.monotonic() + limit
    try:
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.05)[0]:
                try:
                    os.read(terminal, 65536)
                except OSError:
                    break  # it hung up
            elif (ended := os.waitpid(pid, os.WNOHANG)) != (0, 0):
                return os.waitstatus_to_exitcode(ended[1])
        else:
            os.kill(pid, signal.SIGKILL)
            raise TimeoutError(f"{command[0]} did not end within {limit:g} s")
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(terminal)

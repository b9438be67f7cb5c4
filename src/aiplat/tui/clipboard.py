"""Copies text to where a person can paste it, and says only what is known to be true.

tmux's own buffer first when inside of it: it can be pasted there whatever the terminal allows, and
``load-buffer -w`` hands it on to the terminal. Else the desktop's clipboard, unless this is an ssh
session (the desktop there is another). Else an OSC 52 sequence, to which terminals do not answer.

The desktop's clipboard is reached by its own commands, which get neither the terminal nor much
time, and what they took is read again: some of them say nothing when they fail.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_SECONDS = 2.0
MAX_OSC_BYTES = 74_994
"""Most that terminals take in one OSC 52 sequence (hterm and others: 100,000 characters of base64,
xterm fewer)."""
_X11 = ("xclip", "-selection", "clipboard"), ("xsel", "--clipboard")


@dataclass(frozen=True)
class Copied:
    """How it went. `certain` says that the text can be pasted; `words` are for the person."""

    certain: bool
    words: str


class Clipboard:
    """Copies.

    Arguments:
        write: writes a sequence to the terminal.
        environ: the process's environment.
        run: runs a command with the text as its input; gives whether it went well.
        desktop: copies to the desktop's clipboard; raises OSError when there is none.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        environ: Mapping[str, str] = os.environ,
        run: Callable[[list[str], bytes], bool] | None = None,
        desktop: Callable[[str], None] | None = None,
    ) -> None:
        self._write = write
        self._environ = environ
        self._run = run if run is not None else _run
        self._desktop = desktop if desktop is not None else self._to_desktop

    def copy(self, text: str) -> Copied:
        """Copy it; blocks for at most some seconds, so call it in a thread."""
        if not text:
            return Copied(False, "There is nothing to copy.")
        if self._environ.get("TMUX") and self._to_tmux(text):
            return Copied(True, "Copied to tmux (prefix ] pastes it).")
        remote = self._environ.get("SSH_CONNECTION") or self._environ.get("SSH_TTY")
        if not remote:
            try:
                self._desktop(text)
            except OSError:
                pass  # another way is left
            else:
                return Copied(True, "Copied.")
        data = text.encode("utf-8", "replace")
        if len(data) > MAX_OSC_BYTES:
            return Copied(
                False,
                f"Not copied: {len(data)} bytes are more than a terminal takes ({MAX_OSC_BYTES}).",
            )
        self._write(f"\x1b]52;c;{base64.b64encode(data).decode()}\a")
        return Copied(
            False, "Sent to the terminal's clipboard; it does not say whether it took it."
        )

    def _to_tmux(self, text: str) -> bool:
        data = text.encode("utf-8", "replace")
        # -w, since tmux 3.2, also sets the terminal's clipboard where `set-clipboard` allows it.
        return self._run(["tmux", "load-buffer", "-w", "-"], data) or self._run(
            ["tmux", "load-buffer", "-"], data
        )

    def _to_desktop(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        for copying, pasting in _desktop_commands(self._environ):
            if self._run(copying, data) and _read(pasting) == data:
                return
        raise OSError("no command reaches the desktop's clipboard")


def _desktop_commands(environ: Mapping[str, str]) -> list[tuple[list[str], list[str]]]:
    """What copies here, and what pastes then, the best first."""
    if sys.platform == "darwin":
        return [(["pbcopy"], ["pbpaste"])]
    found: list[tuple[list[str], list[str]]] = []
    if environ.get("WAYLAND_DISPLAY"):
        found.append((["wl-copy"], ["wl-paste", "--no-newline"]))
    if environ.get("DISPLAY"):
        found += [([*command, "-i"], [*command, "-o"]) for command in _X11]
    return found


def _run(command: list[str], data: bytes) -> bool:
    try:
        done = subprocess.run(
            command, input=data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=_SECONDS, check=False, start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _read(command: list[str]) -> bytes | None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=_SECONDS, check=False, start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None

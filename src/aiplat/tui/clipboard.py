"""Copies text to where a person can paste it, and says only what is known to be true.

tmux's own buffer first when inside of it: it can be pasted there whatever the terminal allows, and
``load-buffer -w`` hands it on to the terminal. Else the desktop's clipboard, unless this is an ssh
session (the desktop there is another). Else an OSC 52 sequence, to which terminals do not answer.
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_SECONDS = 2.0
MAX_OSC_BYTES = 74_994
"""Most that terminals take in one OSC 52 sequence (hterm and others: 100,000 characters of base64,
xterm fewer)."""


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
        desktop: copies to the desktop's clipboard; raises when there is none.
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
        self._desktop = desktop if desktop is not None else _to_desktop

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
            except Exception:  # noqa: BLE001  # whatever is wrong with it, another way is left
                pass
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


def _run(command: list[str], data: bytes) -> bool:
    try:
        done = subprocess.run(
            command, input=data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _to_desktop(text: str) -> None:
    """Copy by pyperclip, and read it again: some of its ways say nothing when they fail."""
    import pyperclip

    pyperclip.copy(text)
    if pyperclip.paste() != text:
        raise OSError("the desktop's clipboard holds something else")

"""A person's own editor for a prompt: a file that only they can read, gone afterwards."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from aiplat.domain.conversations import MAX_TURN_CHARS
from aiplat.domain.errors import ConfigError


def editor_of(environ: Mapping[str, str]) -> list[str]:
    """The command of the editor: VISUAL, EDITOR, or vi.

    Raises:
        ConfigError: it is written in a way that no shell would take.
    """
    said = environ.get("VISUAL") or environ.get("EDITOR") or "vi"
    try:
        command = shlex.split(said)
    except ValueError as error:
        raise ConfigError(f"VISUAL or EDITOR is {said!r}, which is no command: {error}.") from None
    return command or ["vi"]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl+C be the editor's alone meanwhile: the terminal sends it to this process, too.

    Call it in the main thread, around `edit`. The signal is taken and not ignored, because an
    editor would inherit that it is ignored.
    """
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def edit(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Have a text edited; blocks until the editor ends.

    Raises:
        ConfigError: the editor cannot be run, failed, or left what is no text.
    """
    command = editor_of(environ)
    descriptor, name = tempfile.mkstemp(prefix="aiplat-", suffix=".md")  # 0600
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        try:
            done = subprocess.run([*command, name], check=False)
        except OSError as error:
            raise ConfigError(
                f"The editor {command[0]!r} cannot be run ({error.strerror}). Set EDITOR to one "
                "that can."
            ) from None
        if done.returncode:
            raise ConfigError(
                f"The editor {command[0]!r} ended with {done.returncode}: the text stays as it was."
            )
        try:
            data = path.read_bytes()[: 4 * MAX_TURN_CHARS]
            return data.decode("utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"What the editor left cannot be read ({error}): the text stays as it was."
            ) from None
    finally:
        path.unlink(missing_ok=True)

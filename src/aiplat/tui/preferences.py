"""What a person set for the screens, in a small file of theirs beside the node's data."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Literal

import msgspec

from aiplat.domain.errors import ConfigError

Graphs = Literal["auto", "braille", "blocks", "ascii"]
_MAX_BYTES = 64 * 1024


class Preferences(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person set.

    Arguments:
        theme: one of the themes' names.
        animation: whether anything moves that need not.
        graphs: what graphs are drawn with; ``auto`` is braille where the terminal takes it.
        keymap: other keys for bindings, by the binding's id: ``{"app.help": "f12"}``.
        welcomed: whether the card of the first run was dismissed.
        sidebar: whether the list of conversations is shown where there is room.
    """

    theme: str = "aiplat-dark"
    animation: bool = True
    graphs: Graphs = "auto"
    keymap: dict[str, str] = {}
    welcomed: bool = False
    sidebar: bool = True


class PreferencesFile:
    """Reads and writes them.

    Arguments:
        path: of the file; it need not exist. None keeps them for this run only.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._newest: Preferences | None = None

    def read(self) -> tuple[Preferences, str]:
        """What was set, and what is wrong with the file, in words; the usual where it is wrong."""
        if self.path is None:
            return Preferences(), ""
        try:
            with self.path.open("rb") as file:
                data = file.read(_MAX_BYTES)
            return msgspec.json.decode(data, type=Preferences), ""
        except FileNotFoundError:
            return Preferences(), ""
        except (OSError, ValueError) as error:
            return Preferences(), (
                f"The settings of the terminal in {self.path} cannot be read ({error}): the usual "
                "ones hold. Mend the file, or set something to write it anew."
            )

    def keep(self, preferences: Preferences) -> None:
        """Have the next `flush` write them."""
        self._newest = preferences

    def flush(self) -> None:
        """Write the newest that were to be kept, if they are not written yet; blocks.

        Any thread may: one waits for the other, and none writes older ones after newer ones.

        Raises:
            ConfigError: the file cannot be written.
        """
        with self._lock:
            newest, self._newest = self._newest, None
            if newest is not None:
                self.write(newest)

    def write(self, preferences: Preferences) -> None:
        """Write them, whole or not at all; two programs that do it at once do not mix theirs.

        Raises:
            ConfigError: the file cannot be written.
        """
        if self.path is None:
            return
        try:
            descriptor, name = tempfile.mkstemp(".new", f"{self.path.name}.", self.path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(preferences)))
                os.replace(name, self.path)
            except OSError:
                os.unlink(name)
                raise
        except OSError as error:
            raise ConfigError(
                f"The settings of the terminal cannot be written to {self.path}: "
                f"{error.strerror or error}. They hold until the end of this run."
            ) from None

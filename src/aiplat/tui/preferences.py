"""What a person set for the screens, in a small file of theirs beside the node's data."""

from __future__ import annotations

import os
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

    def write(self, preferences: Preferences) -> None:
        """Write them, whole or not at all.

        Raises:
            ConfigError: the file cannot be written.
        """
        if self.path is None:
            return
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(preferences)))
            new.replace(self.path)
        except OSError as error:
            raise ConfigError(
                f"The settings of the terminal cannot be written to {self.path}: "
                f"{error.strerror or error}. They hold until the end of this run."
            ) from None

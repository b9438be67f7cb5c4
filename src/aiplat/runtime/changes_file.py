"""The settings that operators changed while the node ran, kept in a file of the home."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from aiplat.domain.errors import ConfigError
from aiplat.runtime.private import make_private_folder, read_private, write_private


class ChangesFile:
    """Where they are kept: as ``section.name`` to text, in the form of the environment.

    Arguments:
        path: of the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, str]:
        """Those that were changed.

        Raises:
            ConfigError: the file is damaged, or others may read it. A gateway is not opened on
                terms that nobody chose.
        """
        text = read_private(self.path)
        if text is None:
            return {}
        try:
            return msgspec.json.decode(text, type=dict[str, str])
        except msgspec.MsgspecError as fault:
            raise ConfigError(
                f"{self.path} holds no settings ({fault}). Remove it, and change them anew with "
                "`aiplat settings set`."
            ) from None

    def keep(self, changes: Mapping[str, str]) -> None:
        """Keep these, and no other, over restarts. Blocking.

        Raises:
            ConfigError: the file cannot be written; what was kept is kept still.
        """
        make_private_folder(self.path.parent)
        write_private(self.path, msgspec.json.encode(dict(changes)).decode() + "\n")

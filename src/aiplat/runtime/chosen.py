"""The models that a person chose to have offered, kept in a file of the home over restarts."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from aiplat.domain.errors import ConfigError, InvalidRequest
from aiplat.engine import store
from aiplat.runtime.private import make_private_folder, read_private, write_private

log = logging.getLogger("aiplat.runtime")

MOST = 100


class _Chosen(msgspec.Struct, frozen=True):
    models: tuple[str, ...] = ()


class ChosenFile:
    """Where they are kept, by the names that a node is told to run them by.

    Arguments:
        path: of the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[str, ...]:
        """Those that were chosen; none where the file is damaged, as a node starts without it."""
        try:
            text = read_private(self._path)
            found = _Chosen() if text is None else msgspec.json.decode(text, type=_Chosen)
        except (ConfigError, msgspec.MsgspecError) as fault:
            log.warning(
                "the models that were chosen to be offered are not known (%s): remove %s, and "
                "choose them anew", fault, self._path,
            )  # fmt: skip
            return ()
        return found.models

    def add(self, name: str) -> None:
        """Remember one.

        Raises:
            InvalidRequest: so many are chosen already.
            ConfigError: the file cannot be written.
        """
        models = self.read()
        if name in models:
            return
        if len(models) >= MOST:
            raise InvalidRequest(
                f"{MOST} models are chosen to be offered already: choose one of them no more first."
            )
        self._keep((*models, name))

    def forget(self, offered: str) -> bool:
        """Forget what is offered under that name; whether there was something.

        Raises:
            ConfigError: the file cannot be written.
        """
        models = self.read()
        left = tuple(name for name in models if store.offered_name(name) != offered)
        if left != models:
            self._keep(left)
        return left != models

    def _keep(self, models: tuple[str, ...]) -> None:
        make_private_folder(self._path.parent)
        write_private(self._path, msgspec.json.encode(_Chosen(models)).decode() + "\n")

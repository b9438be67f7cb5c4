"""Removes a pulled model from the disk, if nobody uses it. Blocking."""

from __future__ import annotations

import glob
import shutil
import tempfile
from pathlib import Path

from aiplat.domain.errors import ConfigError, InvalidRequest, ModelNotFound
from aiplat.engine import store
from aiplat.engine.filelock import locked
from aiplat.engine.hub_pull import partial_folder
from aiplat.engine.uses import forget


def on_disk(name: str, cache: Path) -> tuple[str, list[Path], int]:
    """A pulled model by its name: its own name, its folders, and what they take in bytes.

    What an interrupted pull left belongs to it.

    Raises:
        ModelNotFound: it is not on this machine; names those that are.
    """
    pulled = {stored.name: folder for stored, folder in store.pulled_folders(cache)}
    own: str
    folder: Path | None
    try:
        own, folder = store.place(name, cache)
    except ModelNotFound:
        own, folder = name, pulled.get(name)
    folders = []
    if folder is not None:
        folders = [path for path in (folder, partial_folder(folder)) if path.is_dir()]
    if not folders:
        raise ModelNotFound.of(name, pulled, where="on this machine")
    return own, folders, sum(store.size_of(path) for path in folders)


def remove(name: str, cache: Path) -> int:
    """Remove it; gives the bytes that this frees.

    Raises:
        ModelNotFound: it is not on this machine.
        InvalidRequest: a node has it loaded, or a pull of it is under way.
        ConfigError: it cannot be removed.
    """
    own, folders, size = on_disk(name, cache)
    models = store.models_folder(cache)
    target = models / folders[0].name.removeprefix(".").removesuffix(".fetched")
    try:
        with (
            locked(store.lock_of(target), 0.0, lambda: None),
            locked(store.use_of(target), 0.0, lambda: None),
        ):
            forget(target, cache)
            _remove(target, folders)
    except TimeoutError:
        raise InvalidRequest(
            f"The model {own} is in use: a node of this machine has it loaded, or a pull of it is "
            "under way. Stop that node (`aiplat stop`), or serve other models there, and try again."
        ) from None
    except OSError as error:
        raise ConfigError(f"{target} cannot be removed: {error.strerror or error}.") from None
    return size


def _remove(target: Path, folders: list[Path]) -> None:
    """First out of sight, in one step; so nothing looks whole that is half gone."""
    prefix = f".{target.name}.partial-"
    grave = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    for folder in folders:
        folder.rename(grave / folder.name)
    for stale in target.parent.glob(f"{glob.escape(prefix)}*"):
        shutil.rmtree(stale)

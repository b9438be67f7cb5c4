"""Which models a node still lacks before it starts, and getting them.

Looking costs no more than a look at a file, so that every start can afford it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aiplat.domain.errors import NotReady
from aiplat.engine import store
from aiplat.engine.catalogue import DEFAULT_MODEL, ECHO, canonical
from aiplat.engine.pull import Progress, pull
from aiplat.runtime.options import ServeOptions


def models_of(options: ServeOptions) -> tuple[str, ...]:
    """Name the models that a node with these options runs itself; none without the role."""
    if "processor" not in options.roles or options.backend == "upstream":
        return ()
    return options.models or (DEFAULT_MODEL,)


def missing(names: Sequence[str], cache: Path) -> list[str]:
    """Tell which of `names` are known, but not ready in `cache`.

    Raises:
        ModelNotFound: one is not known; says the nearest.
        ConfigError: one is a local folder that holds no model.
    """
    return [name for name in dict.fromkeys(names) if not _is_ready(name, cache)]


def _is_ready(name: str, cache: Path) -> bool:
    if canonical(name) == ECHO:
        return True
    try:
        store.locate(name, cache)
    except NotReady:
        return False
    return True


def get(name: str, cache: Path, progress: Progress, lock_seconds: float) -> Path | None:
    """Get a model ready, and tell where it lies; None for one that lies nowhere.

    Arguments:
        name: of a known model, or a local folder.
        cache: the folder of the model cache.
        progress: hears the stage, and how much of how much is done.
        lock_seconds: how long to wait while another command gets the same model.

    Raises:
        AiplatError: there is no such model, or it cannot be had; says why.
    """
    if store.is_path(name):
        return store.locate(name, cache)[1]
    return pull(name, cache, progress, lock_seconds=lock_seconds)


def absolute(name: str, cache: Path) -> tuple[str, str]:
    """Tell the name that a request calls a model by, and what a node is told to run it.

    They differ for a local folder: the node's own current folder is another one.
    """
    if not name or not store.is_path(name):
        return name, name
    offered, folder = store.locate(name, cache)
    return offered, str(folder)

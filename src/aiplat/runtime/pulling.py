"""Which models a node still lacks before it starts, and getting them.

Looking costs no more than a look at a file, so that every start can afford it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aiplat.domain.errors import NotReady
from aiplat.engine import store
from aiplat.engine.catalogue import DEFAULT_MODEL, ECHO, canonical
from aiplat.engine.pull import pull
from aiplat.engine.settings import EngineSettings
from aiplat.engine.stages import Progress
from aiplat.runtime.options import ServeOptions


def models_of(options: ServeOptions) -> tuple[str, ...]:
    """Name the models that a node with these options runs itself; none without the role."""
    if "processor" not in options.roles or options.backend == "upstream":
        return ()
    return options.models or (DEFAULT_MODEL,)


def served_by(options: ServeOptions, settings: EngineSettings, cache: Path) -> tuple[str, ...]:
    """Name what a processor with these options serves: what it was told, then what was pulled."""
    names = options.models or (DEFAULT_MODEL,)
    if not settings.serve_pulled:
        return names
    told = {store.offered_name(name) for name in names}
    pulled = [stored.name for stored in store.pulled(cache) if store.is_named(stored, cache)]
    return (*names, *(name for name in pulled if name not in told))


def chosen_by(options: ServeOptions, chosen: Sequence[str]) -> tuple[str, ...]:
    """Name which of the models that a person chose a node offers besides what it was told.

    All, unless a person named its models on the command line; a face names only what its own
    prompt needs.
    """
    return () if options.models and not options.background else tuple(chosen)


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
    if store.is_path(name) and not name.endswith(store.GGUF):
        return store.locate(name, cache)[1]
    return pull(name, cache, progress, lock_seconds=lock_seconds)


def absolute(name: str, cache: Path) -> tuple[str, str]:
    """Tell the name that a request calls a model by, and what a node is told to run it.

    They differ for a local folder: the node's own current folder is another one.
    """
    if not name or not store.is_path(name):
        return name, name
    if name.endswith(store.GGUF):
        return store.offered_name(name), str(Path(name).expanduser().resolve())
    offered, folder = store.locate(name, cache)
    return offered, str(folder)

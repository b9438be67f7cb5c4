"""Which models a node still lacks before it starts, and getting them.

Looking costs no more than a look at a file, so that every start can afford it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aiplat.engine.catalogue import DEFAULT_MODEL, ECHO
from aiplat.engine.pull import Progress, is_pulled, pull
from aiplat.runtime.options import ServeOptions


def models_of(options: ServeOptions) -> tuple[str, ...]:
    """Name the models that a node with these options runs; none without the role."""
    if "processor" not in options.roles:
        return ()
    return options.models or (DEFAULT_MODEL,)


def missing(names: Sequence[str], cache: Path) -> list[str]:
    """Tell which of `names` are not ready in `cache`."""
    return [name for name in dict.fromkeys(names) if name != ECHO and not is_pulled(name, cache)]


def get(name: str, cache: Path, progress: Progress) -> Path:
    """Get a model ready, and tell where it lies.

    Arguments:
        name: of a known model, or a local folder.
        cache: the folder of models.
        progress: hears the stage, and how much of how much is done.

    Raises:
        AiplatError: there is no such model, or it cannot be had; says why.
    """
    return pull(name, cache, progress)

"""The models on this machine's disk: those that were pulled, and folders that a person names.

It reads files and makes no model; nothing here imports torch or transformers.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from aiplat.domain.chat import Sampling
from aiplat.domain.errors import ConfigError, ModelNotFound, NotReady
from aiplat.engine.catalogue import EMBEDDED, canonical, known_names
from aiplat.engine.folders import check_folder, describe_folder

RECIPE = 1
"""The version of our conversion: it grows when the same source gives other tensors or tokens."""

MANIFEST = "manifest.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model on disk, before anything is loaded (see `Manifest`).

    `sampling` holds where a request says nothing; `bytes` is the size of the folder.
    """

    name: str
    weights: str
    tokenizer: str
    template: str
    recipe: int
    quantisation: str = "none"
    context: int
    vocabulary: int
    sampling: Sampling = Sampling()
    bytes: int = 0


def models_folder(cache: Path) -> Path:
    """Where pulled models lie."""
    return cache / "models"


def file_name(name: str) -> str:
    """The model's name as that of one file or folder."""
    return _UNSAFE.sub("-", name.replace("/", "--"))[:200]


def is_path(name: str) -> bool:
    """Tell whether `name` means a local folder rather than a model of the catalogue."""
    if canonical(name) in known_names():
        return False
    return os.sep in name or name.startswith(("~", ".")) or Path(name).is_dir()


def locate(name: str, cache: Path) -> tuple[str, Path]:
    """The name that a model is offered under, and its folder.

    Raises:
        ModelNotFound: there is no such model; names the nearest.
        NotReady: it is in the catalogue, but was not pulled.
        ConfigError: the local folder holds what is not loaded here.
    """
    if is_path(name):
        folder = Path(name).expanduser().resolve()
        check_folder(folder)
        return _UNSAFE.sub("-", folder.name)[:100] or "local", folder
    own = canonical(name)
    if own not in EMBEDDED:
        raise not_found(name)
    folder = models_folder(cache) / own
    if not is_whole(folder):
        raise NotReady(f"The model {own} is not on this machine: run `aiplat models pull {own}`.")
    return own, folder


def not_found(name: str) -> ModelNotFound:
    """The error for a name that means nothing here."""
    error = ModelNotFound.of(name, known_names())
    hint = "Any other model must be a local folder for now: give its path, such as ./my-model."
    return ModelNotFound(f"{error} {hint}", param="model")


def is_whole(folder: Path) -> bool:
    """Tell whether a pulled model is complete and of this recipe."""
    try:
        return _read(folder / MANIFEST).recipe == RECIPE
    except (OSError, msgspec.MsgspecError):
        return False


def describe(name: str, folder: Path, cache: Path) -> Stored:
    """What is known of the model in `folder`; of a local one digests are computed once and kept.

    Reads all of its weights the first time: not for the node's loop.

    Raises:
        ConfigError: the folder cannot be read, or holds what is not loaded here.
    """
    if folder.parent == models_folder(cache):
        try:
            return _read(folder / MANIFEST)
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfigError(
                f"{folder / MANIFEST} cannot be read ({error}): remove {folder} and run "
                f"`aiplat models pull {name}`."
            ) from None
    found = describe_folder(folder, cache / "digests")
    return Stored(
        name=name,
        weights=found.weights,
        tokenizer=found.tokenizer,
        template=found.template,
        recipe=0,
        context=found.context,
        vocabulary=found.vocabulary,
        bytes=size_of(folder),
    )


def write_manifest(folder: Path, stored: Stored) -> None:
    """Put `stored` beside the model's files."""
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(stored)))


def pulled(cache: Path) -> list[Stored]:
    """The models that were pulled, by name."""
    folder = models_folder(cache)
    if not folder.is_dir():
        return []
    whole = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and is_whole(entry)]
    return [_read(entry / MANIFEST) for entry in whole]


def size_of(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())


def _read(path: Path) -> Stored:
    return msgspec.json.decode(path.read_bytes(), type=Stored)

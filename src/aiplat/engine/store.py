"""The models on this machine's disk: those that were pulled, and folders that a person names.

It reads files and makes no model; nothing here imports torch or transformers.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import msgspec

from aiplat.domain.chat import Sampling
from aiplat.domain.errors import ConfigError, ModelNotFound, NotReady
from aiplat.engine import hub_names
from aiplat.engine.catalogue import EMBEDDED, canonical, known_names
from aiplat.engine.folders import check_folder, describe_folder

RECIPE = 2
"""The version of our conversion: it grows when the same source gives other tensors or tokens."""

MANIFEST = "manifest.json"
GGUF = ".gguf"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model on disk, before anything is loaded (see `Manifest`).

    `sampling` holds where a request says nothing; `bytes` is the size of the folder; `source`
    says where it came from. A `recipe` of 0 is that of weights that were not converted.
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
    source: str = ""


def models_folder(cache: Path) -> Path:
    """Where pulled models lie."""
    return cache / "models"


def file_name(name: str) -> str:
    """The model's name as that of one file or folder."""
    return _UNSAFE.sub("-", name.replace("/", "--"))[:200]


def is_path(name: str) -> bool:
    """Tell whether `name` means a local folder or GGUF file, and no model of the catalogue or hub.

    ``org/name`` is a model of the hub, unless there is such a folder here.
    """
    if canonical(name) in known_names():
        return False
    if name.startswith(("~", ".", os.sep)) or _exists(name):
        return True
    return (os.sep in name or name.endswith(GGUF)) and hub_names.parse(name) is None


def _exists(name: str) -> bool:
    try:
        return bool(name.strip()) and Path(name).exists()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def locate(name: str, cache: Path) -> tuple[str, Path]:
    """The name that a model is offered under, and its folder.

    Raises:
        ModelNotFound: there is no such model; names the nearest.
        NotReady: it is in the catalogue or may be on the hub, but was not pulled; or it is a GGUF
            file that was not converted yet.
        ConfigError: the local folder or file holds what is not loaded here.
    """
    if is_path(name):
        path = Path(name).expanduser().resolve()
        if path.suffix == GGUF:
            return _locate_gguf(path, cache)
        check_folder(path)
        return _offered_as(path.name), path
    own, folder = place(name, cache)
    if not is_whole(folder):
        raise NotReady(f"The model {own} is not on this machine: run `aiplat models pull {own}`.")
    return own, folder


def place(name: str, cache: Path) -> tuple[str, Path]:
    """The own name of a model that is pulled, and where it lies or will lie.

    Raises:
        ModelNotFound: there is no such name.
    """
    own = canonical(name)
    if own in EMBEDDED:
        return own, models_folder(cache) / own
    hub = hub_names.parse(name)
    if hub is None:
        raise not_found(name)
    return name, models_folder(cache) / hub.folder


def lock_of(folder: Path) -> Path:
    """The lock under which a model's folder is made and removed."""
    return folder.with_name(f".{folder.name}.lock")


def use_of(folder: Path) -> Path:
    """The lock that those share who have the model in a folder loaded."""
    return folder.with_name(f".{folder.name}.use")


def offered_name(name: str) -> str:
    """What a model is offered as, whether or not it is there."""
    if not is_path(name):
        return canonical(name)
    path = Path(name).expanduser().resolve()
    return _offered_as(path.stem if path.suffix == GGUF else path.name)


def gguf_folder(path: Path, cache: Path) -> Path:
    """Where the conversion of a local GGUF file lies; another file's, or a later one's, elsewhere.

    Raises:
        ConfigError: there is no such file.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    key = hashlib.sha256(f"{path} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:12]
    return models_folder(cache) / f"local--{_offered_as(path.stem)}--{key}"


def _locate_gguf(path: Path, cache: Path) -> tuple[str, Path]:
    folder, name = gguf_folder(path, cache), _offered_as(path.stem)
    if not is_whole(folder):
        raise NotReady(f"{path} is not converted yet: run `aiplat models pull {path}`.")
    return name, folder


def _offered_as(file: str) -> str:
    return _UNSAFE.sub("-", file)[:100] or "local"


def not_found(name: str) -> ModelNotFound:
    """The error for a name that means nothing here."""
    error = ModelNotFound.of(name, known_names())
    hint = (
        "Any other model is org/name, as on the Hugging Face hub, or a local folder or GGUF file, "
        "such as ./my-model."
    )
    return ModelNotFound(f"{error} {hint}", param="model")


def is_whole(folder: Path) -> bool:
    """Tell whether a pulled model is complete and of this recipe."""
    try:
        return _read(folder / MANIFEST).recipe in (0, RECIPE)
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
            stored = _read(folder / MANIFEST)
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfigError(
                f"{folder / MANIFEST} cannot be read ({error}): remove {folder} and run "
                f"`aiplat models pull {name}`."
            ) from None
        check_folder(folder)  # of sizes: a file may have been cut since
        return stored
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
    return [stored for stored, _ in pulled_folders(cache)]


def pulled_folders(cache: Path) -> list[tuple[Stored, Path]]:
    """The models that were pulled, by name, each with its folder."""
    folder = models_folder(cache)
    if not folder.is_dir():
        return []
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    whole = [entry for entry in entries if entry.is_dir() and is_whole(entry)]
    return [(_read(entry / MANIFEST), entry) for entry in whole]


def is_named(stored: Stored, cache: Path) -> bool:
    """Whether a pulled model is served by its name: a local GGUF file's conversion is not."""
    try:
        return is_whole(place(stored.name, cache)[1])
    except ModelNotFound:
        return False


def size_of(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())


def _read(path: Path) -> Stored:
    return msgspec.json.decode(path.read_bytes(), type=Stored)

"""A transformers folder on disk: whether it may be loaded, and what it holds, by digest.

Only weights are ever loaded, never code: pickles and remote code are refused here, by name,
before anything opens them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from aiplat.domain.errors import ConfigError, clip
from aiplat.engine import vector_folder
from aiplat.engine.json_files import read_object

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_CHUNK = 1 << 20
_CONTEXT = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
_VOCABULARY = ("vocab_size", "n_vocab")
"""What `config.json` calls the most positions, and the tokens; it differs by architecture."""


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """Digests (SHA-256 in hexadecimal) and counts of tokens; `key` says of which files."""

    key: str
    weights: str
    tokenizer: str
    template: str
    context: int
    vocabulary: int


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not loaded here.

    Raises:
        ConfigError: names the folder, what is wrong with it and what would do.
    """
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder}: give the path of a transformers model.")
    weights = _weights(folder)
    if not weights:
        held = [path.name for pattern in _PICKLES for path in folder.glob(pattern)]
        why = f"it holds {held[0]}, a pickle, which can run code" if held else "it holds none"
        raise ConfigError(f"{folder} has no *.safetensors weights: {why}. Save it as safetensors.")
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ConfigError(f"{folder} has no {name}: it is not a whole transformers model.")
    for name in ("config.json", "tokenizer_config.json"):
        if "auto_map" in read_object(folder / name):
            raise ConfigError(f"{folder / name} asks for code of its own (auto_map): refused.")
    for path in weights:
        _check_safetensors(path)
    if vector_folder.makes_vectors(folder):
        vector_folder.layout_of(folder)


def describe_folder(folder: Path, kept: Path) -> Described:
    """Digest the folder's weights, or find in `kept` that it was done and nothing changed since.

    Raises:
        ConfigError: `check_folder` refuses it, or its configuration lacks what is needed.
    """
    check_folder(folder)
    key = _key(folder)
    place = kept / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.json"
    try:
        found = msgspec.json.decode(place.read_bytes(), type=Described)
    except (OSError, msgspec.MsgspecError):
        found = None
    if found is None or found.key != key:
        found = _describe(folder, key)
        kept.mkdir(parents=True, exist_ok=True)
        place.write_bytes(msgspec.json.encode(found))
    return found


def digest(path: Path, read: Callable[[int], None] = lambda done: None) -> str:
    """SHA-256 of a file, in hexadecimal.

    Arguments:
        read: hears how many bytes are read, often; what it raises ends the reading.
    """
    found, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            found.update(piece)
            done += len(piece)
            read(done)
    return found.hexdigest()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The template's digest, context and vocabulary in tokens, and the type of the weights."""

    template: str
    context: int
    vocabulary: int
    dtype: str


def facts_of(folder: Path) -> Facts:
    """Read the small files of a folder.

    Raises:
        ConfigError: they lack what is needed.
    """
    config = read_object(folder / "config.json")
    inner = config.get("text_config")  # of a model that also sees or hears
    parts = (config, inner if isinstance(inner, dict) else {})
    context = _count(folder, parts, _CONTEXT)
    vocabulary = _count(folder, parts, _VOCABULARY)
    template = template_of(folder)
    if vector_folder.makes_vectors(folder):  # what becomes of a text there its layout says
        layout = vector_folder.layout_of(folder)
        context, template = layout.longest or context, msgspec.json.encode(layout)
    dtypes = (part.get(name) for part in parts for name in ("dtype", "torch_dtype"))
    dtype = next((found for found in dtypes if isinstance(found, str)), "")
    return Facts(
        template=hashlib.sha256(template).hexdigest(), context=context, vocabulary=vocabulary,
        dtype=dtype,
    )  # fmt: skip


def _count(folder: Path, parts: Iterable[dict[str, Any]], names: Sequence[str]) -> int:
    for part in parts:
        for name in names:
            if name in part:
                found = part[name]
                if isinstance(found, int) and not isinstance(found, bool) and found > 0:
                    return found
                raise ConfigError(
                    f"{folder / 'config.json'} has {name} {clip(str(found))}, where a number of "
                    "tokens is needed: the file is broken."
                )
    raise ConfigError(
        f"{folder / 'config.json'} says neither of {', '.join(names)}: such a model cannot be "
        "served here."
    )


def template_of(folder: Path) -> bytes:
    """The chat template of a folder, as it is written there; empty where there is none.

    Raises:
        ConfigError: its file cannot be read.
    """
    alone = folder / "chat_template.jinja"
    if alone.is_file():
        return alone.read_bytes()
    template = read_object(folder / "tokenizer_config.json").get("chat_template", "")
    return template.encode() if isinstance(template, str) else msgspec.json.encode(template)


def _describe(folder: Path, key: str) -> Described:
    facts = facts_of(folder)
    return Described(
        key=key,
        weights=_digest_of_all(_weights(folder)),
        tokenizer=digest(folder / "tokenizer.json"),
        template=facts.template,
        context=facts.context,
        vocabulary=facts.vocabulary,
    )


def _weights(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors") if path.is_file())


def _digest_of_all(paths: list[Path]) -> str:
    return digest_of({path.name: digest(path) for path in paths})


def digest_of(digests: Mapping[str, str]) -> str:
    """The digest of several files' weights: of one its own, else of a list of theirs by name."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def _key(folder: Path) -> str:
    """What changes when a file of the folder does."""
    names = (
        "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
        *vector_folder.FILES,
    )  # fmt: skip
    paths: Iterable[Path] = (*_weights(folder), *(folder / name for name in names))
    stats = [(path.name, path.stat()) for path in paths if path.is_file()]
    text = "".join(f"{name} {stat.st_size} {stat.st_mtime_ns}\n" for name, stat in stats)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_safetensors(path: Path) -> None:
    """Compare the file's size with what its header promises: a download may have been cut."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, 100 * _CHUNK):
            raise ConfigError(f"{path} is no safetensors file, or was cut: fetch it again.")
        try:
            header = msgspec.json.decode(file.read(length), type=dict[str, Any])
            ends = [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"]
        except (msgspec.MsgspecError, KeyError, IndexError, TypeError):
            raise ConfigError(f"{path} is no safetensors file: its header is broken.") from None
    promised = 8 + length + max(ends, default=0)
    if size != promised:
        raise ConfigError(
            f"{path} has {size} bytes, but its header promises {promised}: fetch it again."
        )

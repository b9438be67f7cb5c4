"""Which files of a repository make a model, and why a repository is refused. Pure.

Only weights are ever fetched, never code and no pickle; of several forms safetensors goes first.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Sequence
from typing import Any

import msgspec

from aiplat.engine import vector_folder
from aiplat.engine.hub_names import HubName

SMALL = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model",
    "chat_template.jinja", "chat_template.json", "model.safetensors.index.json",
    *vector_folder.FILES,
)  # fmt: skip
"""What is fetched beside safetensors, where it is there."""

_NEEDED = ("config.json", "tokenizer.json")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
_WRITES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_LISTED = 12


class RepoFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file of a repository: its size in bytes, and its SHA-256 where the hub says it."""

    path: str
    size: int
    sha256: str = ""


class Refused(Exception):
    """The repository has no model that is loaded here; a sentence says why, and what would do."""


def choose(name: HubName, files: Sequence[RepoFile]) -> tuple[RepoFile, ...]:
    """What to fetch, the small files first: all of a safetensors model, or one GGUF file.

    Raises:
        Refused: there is no such file, several could be meant, or nothing that is loaded here.
    """
    by_name = {file.path: file for file in files}
    ggufs = sorted(path for path in by_name if path.lower().endswith(".gguf"))
    if name.file:
        return (by_name[_named(name, ggufs)],)
    weights = sorted(path for path in by_name if fnmatch.fnmatch(path, "[!/]*.safetensors"))
    weights = [path for path in weights if "/" not in path]
    weights = [path for path in weights if path.startswith("model")] or weights
    if weights:
        _check_whole(name, by_name, weights)
        small = [path for path in SMALL if path in by_name]
        return tuple(by_name[path] for path in (*small, *weights))
    if ggufs:
        return (by_name[_only(name, ggufs)],)
    pickles = [path for path in by_name if any(fnmatch.fnmatch(path, p) for p in _PICKLES)]
    if pickles:
        raise Refused(
            f"{name.repo} has its weights only as {pickles[0]}, which can run code: nothing of it "
            "was fetched. Look for a copy of it in safetensors."
        )
    raise Refused(f"{name.repo} holds no weights: neither *.safetensors nor *.gguf.")


def check_config(
    repo: str, config: dict[str, Any], tokenizer: dict[str, Any], *, has_modules: bool = False
) -> None:
    """Look at a configuration before the weights are fetched.

    Arguments:
        has_modules: whether it is a repository of sentence-transformers.

    Raises:
        Refused: it asks for code of its own, or is no model that writes text or makes vectors.
    """
    if "auto_map" in config or "auto_map" in tokenizer:
        raise Refused(f"{repo} asks for code of its own (auto_map): it was refused.")
    kinds = [str(kind) for kind in config.get("architectures") or ()]
    if vector_folder.are_vectors(config, has_modules=has_modules):
        return
    if kinds and not any(kind.endswith(_WRITES) for kind in kinds):
        raise Refused(
            f"{repo} is a {kinds[0]}, and no model that writes text or makes vectors: it was "
            "refused."
        )


def _check_whole(name: HubName, files: dict[str, RepoFile], weights: list[str]) -> None:
    if all("adapter" in path for path in weights):
        raise Refused(f"{name.repo} is an adapter (LoRA) for another model: it was refused.")
    for needed in _NEEDED:
        if needed not in files:
            raise Refused(f"{name.repo} has no {needed}: it cannot be served here.")


def _named(name: HubName, ggufs: list[str]) -> str:
    if name.file in ggufs:
        return _whole(name, name.file)
    if not ggufs:
        raise Refused(f"{name.repo} holds no GGUF file: leave :{name.file} out.")
    near = difflib.get_close_matches(name.file, ggufs, n=3, cutoff=0.5)
    hint = f"Did you mean {', '.join(near)}?" if near else f"It has {_list(ggufs)}."
    raise Refused(f"There is no {name.file} in {name.repo}. {hint}")


def _only(name: HubName, ggufs: list[str]) -> str:
    models = [path for path in ggufs if "mmproj" not in path.lower()] or ggufs
    if len(models) > 1:
        raise Refused(
            f"{name.repo} holds {len(models)} GGUF files: name one, such as "
            f"{name.repo}:{models[0]}. It has {_list(models)}."
        )
    return _whole(name, models[0])


def _whole(name: HubName, path: str) -> str:
    if fnmatch.fnmatch(path, "*-of-?????.gguf"):
        raise Refused(f"{path} of {name.repo} is a piece of a file: such are not joined here yet.")
    return path


def _list(paths: list[str]) -> str:
    shown = ", ".join(paths[:_LISTED])
    return shown if len(paths) <= _LISTED else f"{shown} and {len(paths) - _LISTED} more"

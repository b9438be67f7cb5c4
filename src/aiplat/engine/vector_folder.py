"""Which folders hold a model that makes vectors, and how it does. Reads small files; no torch.

A folder of sentence-transformers says it in ``modules.json``: a Transformer, then Pooling, then
perhaps Normalize (https://sbert.net/docs/sentence_transformer/usage/custom_models.html). Any other
folder is such a model when its ``config.json`` names a bare encoder, as ``BertModel``; then
vectors are the mean of all tokens. All vectors are given the length 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from aiplat.domain.errors import ConfigError, clip
from aiplat.engine.json_files import read_object

MODULES, SENTENCES, OPTIONS = (
    "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json",
)  # fmt: skip
POOLING = "1_Pooling/config.json"
"""Where published models keep it; ``modules.json`` says so."""
FILES = (MODULES, SENTENCES, OPTIONS, POOLING)
"""What a folder of sentence-transformers has besides a transformers model."""

Pooling = Literal["mean", "cls", "max"]

_MODES: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}
_OFFSET = (
    "roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text",
)  # fmt: skip
"""Types whose first positions are those of padding: so many fewer tokens have one."""
_LONGEST = 1_000_000
"""A longer text than this is no model's: tokenizers that know no limit say 10^30."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How a model's vectors are made.

    Arguments:
        pooling: what is taken of its tokens' states: their mean, the first one, or the largest of
            each number.
        longest: tokens of a text at most, as the folder's small files say; 0 where they do not.
        lower: whether texts are put into lower case before the tokenizer.
        cuts: whether the beginning of a vector is one (Matryoshka, arXiv 2205.13147).
    """

    pooling: Pooling = "mean"
    longest: int = 0
    lower: bool = False
    cuts: bool = False


def makes_vectors(folder: Path) -> bool:
    """Whether the model in `folder` makes vectors, and no text; False where nothing tells."""
    try:
        config = read_object(folder / "config.json")
    except ConfigError:
        return False
    return are_vectors(config, has_modules=(folder / MODULES).is_file())


def are_vectors(config: Mapping[str, Any], *, has_modules: bool) -> bool:
    """The same, told of its configuration."""
    if has_modules:
        return True
    kinds = config.get("architectures") or ()
    names = [str(kind) for kind in kinds] if isinstance(kinds, list | tuple) else []
    return bool(names) and all(_is_bare(name) for name in names)


def _is_bare(name: str) -> bool:
    return name.endswith("Model") and not name.endswith(("LMHeadModel", "DoubleHeadsModel"))


def layout_of(folder: Path) -> Layout:
    """How its vectors are made.

    Raises:
        ConfigError: in a way that is not known here; names it.
    """
    config = read_object(folder / "config.json")
    if config.get("is_encoder_decoder"):
        raise ConfigError(
            f"{folder / 'config.json'} is of a model that reads and writes (is_encoder_decoder): "
            "vectors are made by encoders alone."
        )
    options = read_object(folder / OPTIONS)
    if options.get("default_prompt_name"):
        raise ConfigError(
            f"{folder / OPTIONS} wants every text to begin with a prompt of the model's "
            f"(default_prompt_name {clip(str(options['default_prompt_name']))!r}), which is not "
            "done here: remove that line, and let who asks write the prompt."
        )
    sentences = read_object(folder / SENTENCES)
    return Layout(
        pooling=_pooling(folder),
        longest=_longest(folder, config, sentences),
        lower=sentences.get("do_lower_case") is True,
        cuts=bool(config.get("matryoshka_dimensions")) or config.get("is_matryoshka") is True,
    )


def _pooling(folder: Path) -> Pooling:
    if not (folder / MODULES).is_file():
        return "mean"
    place = ""
    for kind, path in _modules(folder / MODULES):
        if kind == "Transformer" and not path:
            continue
        if kind == "Pooling" and _is_inside(path):
            place = path
        elif kind != "Normalize":
            where = f" in {clip(path)!r}" if kind == "Transformer" else ""
            raise ConfigError(
                f"{folder / MODULES} has the module {clip(kind)}{where}, which is not made here: a "
                "Transformer at the folder's top, Pooling and Normalize are."
            )
    return _mode(folder / place / "config.json") if place else "mean"


def _modules(path: Path) -> Sequence[tuple[str, str]]:
    """Of each the last word of its type, and its folder."""
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[dict[str, Any]])
        return [(str(row["type"]).rpartition(".")[2], str(row.get("path", ""))) for row in rows]
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, KeyError) as error:
        raise ConfigError(f"{path} is no list of modules: {type(error).__name__}.") from None


def _is_inside(path: str) -> bool:
    return bool(path) and not path.startswith("/") and ".." not in Path(path).parts


def _mode(path: Path) -> Pooling:
    if not path.is_file():
        raise ConfigError(f"{path} is not there, though modules.json names its folder.")
    told = read_object(path)
    named = told.get("pooling_mode")  # of sentence-transformers from 5 on
    chosen = [name for name, on in told.items() if name.startswith("pooling_mode_") and on is True]
    if isinstance(named, str):
        chosen = [f"pooling_mode_{named}_token{'' if named == 'cls' else 's'}"]
    if len(chosen) != 1 or chosen[0] not in _MODES:
        words = ", ".join(chosen) or "nothing"
        raise ConfigError(
            f"{path} takes {clip(words)} of a text's tokens; one of {', '.join(_MODES)} can be "
            "done here."
        )
    return _MODES[chosen[0]]


def _longest(folder: Path, config: Mapping[str, Any], sentences: Mapping[str, Any]) -> int:
    """The least of what the small files say."""
    tokenizer = read_object(folder / "tokenizer_config.json")
    told = [sentences.get("max_seq_length"), tokenizer.get("model_max_length"), _positions(config)]
    known = [one for one in told if isinstance(one, int) and 0 < one <= _LONGEST]
    return min(known, default=0)


def _positions(config: Mapping[str, Any]) -> int | None:
    positions, padding = config.get("max_position_embeddings"), config.get("pad_token_id")
    if not isinstance(positions, int):
        return None
    if config.get("model_type") in _OFFSET:
        return positions - 1 - (padding if isinstance(padding, int) else 1)
    return positions

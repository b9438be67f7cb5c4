"""Turns any GGUF file that can be into a transformers folder, in a process of its own.

``python -m aiplat.engine.backends.gguf_any FILE FOLDER`` prints ``Progress N of M``. A Llama with
a tokenizer that our own recipe knows goes through that (`gguf_convert`); any other through
transformers' conversion, where it has one for the architecture, and keeps the 4-bit groups of what
has a Llama's blocks; what neither does right is refused by name: a model that is only nearly
converted would talk nonsense.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader
from safetensors import SafetensorError
from safetensors.numpy import save_file

from aiplat.engine.backends import gguf_convert
from aiplat.engine.backends.gguf_tensors import as_tensors, groups_in
from aiplat.engine.memory import MIB, be_the_first_to_go, free_mib
from aiplat.engine.ways import FAMILY, GROUPS

_REFUSED = 13
_FLOAT_BYTES = 4
_SLACK = 64 * 1024 * 1024
_STEPS = 4
_OWN_TOKENIZERS = (("gpt2", "smollm"),)


_BYTE_PAIRS = {
    "llama": ("llama-bpe", "llama3"),
    "qwen2": ("qwen2",),
    "qwen2moe": ("qwen2",),
    "qwen3": ("qwen2",),
    "qwen3moe": ("qwen2",),
    "gpt2": ("gpt-2", "default"),
    "falcon": ("falcon",),
    "starcoder2": ("starcoder",),
    "phi3": ("gpt-2", "dbrx"),
    "stablelm": ("gpt-2", "default", "stablelm2"),
}
"""Of each architecture, how a byte-pair tokenizer may cut text into words: transformers looks at
the architecture alone, and a text that is cut otherwise becomes other tokens without a word."""


class Refused(Exception):
    """Not converted here; a clause says why."""


def convert(source: Path, folder: Path) -> None:
    """Write the model in `source` to `folder`, which is there and empty.

    Raises:
        Refused: it is damaged, or of a kind that is not converted.
    """
    reader = _open(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    _check_room(reader, folder)
    if _is_ours(fields):
        try:
            gguf_convert.convert(source, folder, _tell)
            return
        except (ValueError, KeyError) as error:
            raise Refused(f"{_words(error)}") from error
    _check_others(reader, fields)
    model = _through_transformers(source, folder, str(fields["general.architecture"]))
    _keep_groups(reader, fields, model, folder)
    _tell(_STEPS, _STEPS)


def _open(source: Path) -> GGUFReader:
    size = source.stat().st_size
    try:
        reader = GGUFReader(source)
        ends = [int(tensor.data_offset + tensor.n_bytes) for tensor in reader.tensors]
    except (ValueError, IndexError, KeyError, OverflowError, TypeError, MemoryError) as error:
        raise Refused(
            f"the GGUF file is damaged or was cut ({size} bytes; {_words(error)}): fetch it again"
        ) from error
    if not ends:
        raise Refused("the GGUF file holds no weights")
    if max(ends) > size:
        raise Refused(f"the GGUF file was cut: it has {size} bytes of {max(ends)}; fetch it again")
    return reader


def _is_ours(fields: dict[str, Any]) -> bool:
    tokenizer = (fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre"))
    return (
        fields.get("general.architecture") == "llama"
        and tokenizer in _OWN_TOKENIZERS
        and "tokenizer.chat_template" in fields
    )


def _check_room(reader: GGUFReader, folder: Path) -> None:
    elements = sum(int(tensor.n_elements) for tensor in reader.tensors)
    needed, free = elements * _FLOAT_BYTES + _SLACK, shutil.disk_usage(folder).free
    if free < needed:
        raise Refused(
            f"its conversion needs {needed >> 20} MiB on the disk of {folder.parent}, but "
            f"{free >> 20} MiB are free"
        )
    needed_mib, free_now = elements * _FLOAT_BYTES // MIB, free_mib()
    if free_now is not None and free_now < needed_mib:
        raise Refused(
            f"its conversion needs {needed_mib} MiB of memory, but {free_now} MiB are free: end "
            "what else runs"
        )


def _check_others(reader: GGUFReader, fields: dict[str, Any]) -> None:
    """What transformers' conversion would get wrong without a word."""
    kind = str(fields.get("general.architecture", "unknown"))
    if any(tensor.name.startswith("rope_freqs") for tensor in reader.tensors):
        raise Refused(f"its positions are scaled (rope_freqs, as Llama 3.1 has it), and the "
                      f"conversion of {kind} loses that; take its safetensors")  # fmt: skip
    scaling = fields.get(f"{kind}.rope.scaling.type", "none")
    if scaling != "none":
        raise Refused(f"its positions are scaled ({scaling}), and the conversion of {kind} loses "
                      "that; take its safetensors")  # fmt: skip
    if fields.get(f"{kind}.expert_count") and kind == "llama":
        raise Refused("it is a mixture of experts in the Llama form, which is not converted")
    pre = str(fields.get("tokenizer.ggml.pre", "default"))
    if fields.get("tokenizer.ggml.model") == "gpt2" and pre not in _BYTE_PAIRS.get(kind, (pre,)):
        raise Refused(f"its tokenizer {pre!r} is not converted for {kind!r}; take its safetensors")
    if "tokenizer.chat_template" not in fields:
        raise Refused("it has no chat template: it is not made for chats")


def _through_transformers(source: Path, folder: Path, kind: str) -> Any:
    """Convert, and give the model of transformers."""
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    transformers.logging.set_verbosity_error()
    where = {"gguf_file": source.name, "local_files_only": True, "trust_remote_code": False}
    _tell(0, _STEPS)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.parent, **where)
        _tell(1, _STEPS)
        model = AutoModelForCausalLM.from_pretrained(source.parent, **where)
        _tell(2, _STEPS)
        # `save_pretrained` refuses a model that it takes for quantised; this one no longer is.
        model.hf_quantizer = None
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(folder, safe_serialization=True)
        tokenizer.save_pretrained(folder)
    except (ValueError, KeyError, NotImplementedError, TypeError, AttributeError) as error:
        raise Refused(
            f"its architecture {kind!r} or its tokenizer is not converted ({_words(error)})"
        ) from error
    _tell(3, _STEPS)
    return model


def _keep_groups(reader: GGUFReader, fields: dict[str, Any], model: Any, folder: Path) -> None:
    """Keep what was stored in 4-bit groups beside the weights, where they say the same."""
    if model.config.model_type not in FAMILY:
        return
    weights = model.state_dict()
    kept: dict[str, np.ndarray[Any, Any]] = {}
    for name, groups in groups_in(reader, fields):
        wanted = weights[name].float().numpy() if name in weights else None
        if wanted is None or not np.allclose(groups.weights(), wanted, rtol=1e-5, atol=1e-6):
            return  # an order of rows that is not known here
        kept |= as_tensors(name, groups)
    if kept:
        save_file(kept, folder / GROUPS)


def _tell(done: int, total: int) -> None:
    sys.stdout.write(f"Progress {done} of {total}\n")


def _words(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:200]


def main() -> int:
    """Convert, and say how far it is; with one line when it cannot be done."""
    be_the_first_to_go()
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except Refused as refused:
        sys.stdout.write(f"ERROR: {refused}\n")
        return _REFUSED
    except MemoryError:
        sys.stdout.write("ERROR: there is not enough memory to convert it\n")
        return 1
    except (OSError, SafetensorError) as error:  # the latter for a disk that is full
        why = getattr(error, "strerror", None) or _words(error)
        sys.stdout.write(f"ERROR: what comes of it cannot be written ({why})\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The models that an upstream lists, read. Pure.

Of each server's own fields those count that say how long a context is: `max_model_len` (vLLM,
SGLang), `context_length` and `context_window` (LM Studio, routers), `meta.n_ctx` of llama.cpp,
which is what one of its slots holds. `owned_by` tells llama.cpp (``llamacpp``), vLLM (``vllm``),
SGLang (``sglang``) and Ollama (``library``) apart.
"""

from __future__ import annotations

import msgspec

from aiplat.domain.models import Ability, Manifest
from aiplat.engine.backends.upstream.body import LLAMA_CPP, OLLAMA
from aiplat.protocol.offers import MAX_NAME

_KINDS = {"llamacpp": LLAMA_CPP, "vllm": "vllm", "sglang": "sglang", "library": OLLAMA}
_MOST = 1_000_000_000
_UNKNOWN = "unknown"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One model of an upstream; `context` and `vocabulary` are 0, `can` empty while unknown."""

    name: str
    kind: str = ""
    context: int = 0
    vocabulary: int = 0
    quantisation: str = ""
    can: tuple[Ability, ...] = ()

    def manifest(self) -> Manifest:
        """All that is known of it, and that the rest is not."""
        return Manifest(
            name=self.name, weights=_UNKNOWN, tokenizer=_UNKNOWN, template=_UNKNOWN, recipe=0,
            dtype=_UNKNOWN, quantisation=self.quantisation or _UNKNOWN, context=self.context,
            # A vocabulary of none is no model's. No ids come, so that nothing is checked by it.
            vocabulary=self.vocabulary or 1, backend=f"upstream-{self.kind or 'openai'}",
        )  # fmt: skip


class _Meta(msgspec.Struct):
    n_ctx: int | None = None
    n_ctx_train: int | None = None
    n_vocab: int | None = None
    ftype: str | None = None


class _Model(msgspec.Struct):
    id: str
    owned_by: str | None = None
    max_model_len: int | None = None
    context_length: int | None = None
    context_window: int | None = None
    meta: _Meta | None = None


class _Named(msgspec.Struct):
    id: str


class _Body(msgspec.Struct):
    data: list[msgspec.Raw]


_BODY = msgspec.json.Decoder(_Body)
_MODEL = msgspec.json.Decoder(_Model)
_NAMED = msgspec.json.Decoder(_Named)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_models(data: bytes) -> tuple[Listed, ...] | None:
    """The models of an answer to ``GET /models``, each once; None when it is no such answer.

    A model whose name cannot be shown, or that cannot be read, is left out.
    """
    try:
        rows = _BODY.decode(data).data
    except _UNREADABLE:
        return None
    found: dict[str, Listed] = {}
    for row in rows:
        model = _read(row)
        if model is not None and 1 <= len(model.id) <= MAX_NAME and model.id.isprintable():
            found.setdefault(model.id, _listed(model))
    return tuple(found.values())


def _read(row: msgspec.Raw) -> _Model | None:
    """A row; its name alone where the rest is not as any server known here has it."""
    try:
        return _MODEL.decode(row)
    except _UNREADABLE:
        pass
    try:
        return _Model(_NAMED.decode(row).id)
    except _UNREADABLE:
        return None


def _listed(model: _Model) -> Listed:
    meta = model.meta or _Meta()
    told = (model.max_model_len, model.context_length, model.context_window, meta.n_ctx,
            meta.n_ctx_train)  # fmt: skip
    return Listed(
        name=model.id,
        kind=_KINDS.get(model.owned_by or "", ""),
        context=next((n for n in told if n is not None and 0 < n <= _MOST), 0),
        vocabulary=meta.n_vocab if meta.n_vocab and 0 < meta.n_vocab <= _MOST else 0,
        quantisation=(meta.ftype or "").lower()[:32] if (meta.ftype or "").isprintable() else "",
    )


def named(name: str, listed: tuple[Listed, ...]) -> Listed | None:
    """The model that `name` means there.

    Ollama's own `latest` may be left off, and a llama.cpp server with one model takes any name.
    """
    for one in listed:
        if one.name in (name, f"{name}:latest"):
            return one
    if len(listed) == 1 and listed[0].kind == LLAMA_CPP:
        return listed[0]
    return None

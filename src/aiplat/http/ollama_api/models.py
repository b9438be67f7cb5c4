"""Models in Ollama's shapes. Pure.

Ollama knows a model's file, and so tells of its digest, format and family. What is asked for here
may lie on any machine: what nobody says is empty, and a digest is of the name.
Source: `ListModelResponse`, `ProcessModelResponse` and `ShowResponse` of Ollama's API reference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

import msgspec

from aiplat.control.messages import ModelStatus
from aiplat.domain.models import Ability

LATEST = ":latest"
_ARCHITECTURE = "aiplat"
_NO_END = "9999-12-31T23:59:59Z"
"""When a loaded model will be unloaded, its processor decides."""

Capability = Literal["completion", "tools", "embedding"]
_CAPABILITIES: dict[Ability, Capability] = {
    "generate": "completion",
    "tools": "tools",
    "embed": "embedding",
}


class Details(msgspec.Struct, frozen=True):
    """What Ollama tells of a model's file."""

    parent_model: str = ""
    format: str = ""
    family: str = ""
    families: list[str] | None = None
    parameter_size: str = ""
    quantization_level: str = ""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be asked."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details = Details()


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is loaded somewhere."""

    name: str
    model: str
    size: int
    digest: str
    details: Details = Details()
    expires_at: str = _NO_END
    size_vram: int = 0
    context_length: int


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One model."""

    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    details: Details = Details()
    model_info: dict[str, object]
    capabilities: list[Capability]
    modified_at: str


def tags_body(known: Iterable[ModelStatus], since: str) -> bytes:
    """The JSON of the models that can be asked.

    Arguments:
        known: all of them.
        since: when the door was opened: nobody knows a model's own time.
    """
    models = [
        Listed(
            name=one.name,
            model=one.name,
            modified_at=since,
            size=one.bytes,
            digest=_digest(one.name),
        )
        for one in known
    ]
    return msgspec.json.encode({"models": models})


def running_body(known: Iterable[ModelStatus]) -> bytes:
    """The JSON of those that are loaded."""
    models = [
        Running(
            name=one.name,
            model=one.name,
            size=one.bytes,
            digest=_digest(one.name),
            context_length=one.context,
        )
        for one in known
        if one.state == "ready"
    ]
    return msgspec.json.encode({"models": models})


def shown_body(model: ModelStatus, since: str) -> bytes:
    """The JSON of one; `since` as for `tags_body`."""
    about: dict[str, object] = {"general.architecture": _ARCHITECTURE, "general.name": model.name}
    if model.context:
        about[f"{_ARCHITECTURE}.context_length"] = model.context
    return msgspec.json.encode(
        Shown(
            model_info=about,
            capabilities=[_CAPABILITIES[can] for can in model.can if can in _CAPABILITIES],
            modified_at=since,
        )
    )


def find(name: str, known: Iterable[ModelStatus]) -> ModelStatus | None:
    """The model that a name of Ollama's means: with the tag ``latest``, or without it, the same."""
    by_name = {one.name: one for one in known}
    other = name.removesuffix(LATEST) if name.endswith(LATEST) else name + LATEST
    return by_name.get(name) or by_name.get(other)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()

"""What is said of a model on the shelf, and how far a pull is. Knows no widget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aiplat.control.machine import KnownModel, Pull, Shelf
from aiplat.tui.text import clean, flat, size

Step = Literal["fetch", "offer", "none"]

_STAGES = {
    "download": "fetching", "verify": "checking", "unpack": "unpacking", "convert": "converting",
    "wait": "waiting for another one",
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A model, and what is done with it.

    Arguments:
        pull: the newest of it; None for none.
    """

    model: KnownModel
    pull: Pull | None = None

    @property
    def is_pulled(self) -> bool:
        """Whether it is being brought now."""
        return self.pull is not None and self.pull.state == "running"

    @property
    def next_step(self) -> Step:
        """What Enter does with it."""
        if self.is_pulled or self.model.served:
            return "none"
        return "offer" if self.model.here else "fetch"


def items_of(shelf: Shelf) -> list[Item]:
    """The models, and those that are being brought, or could not be, and are not known yet.

    What is offered comes first, then what lies here, then the smallest.
    """
    pulls = {pull.model: pull for pull in shelf.pulls}
    models = {model.name: model for model in shelf.models}
    for name, pull in pulls.items():
        if pull.state != "done":  # what was brought is listed, be it by another name
            models.setdefault(name, KnownModel(name=name))

    def place(model: KnownModel) -> tuple[bool, bool, int, str]:
        return (not model.served, not model.here, model.bytes or 1 << 62, model.name)

    return [Item(model, pulls.get(model.name)) for model in sorted(models.values(), key=place)]


def state_of(item: Item, shelf: Shelf) -> tuple[str, str, str]:
    """A sign, its colour of the theme, and words."""
    model, pull = item.model, item.pull
    if pull is not None and pull.state == "running":
        return "↓", "$accent", _STAGES.get(pull.stage, pull.stage or "beginning")
    if model.served:
        return "●", "$success", "offered"
    if pull is not None and pull.state == "failed":
        return "✕", "$error", f"could not be {'offered' if model.here else 'fetched'}"
    if (trouble := too_large(model, shelf)) and not model.here:
        return "▲", "$warning", trouble
    if model.here:
        return "○", "$foreground", "here, not offered"
    stopped = pull is not None and pull.state == "cancelled"
    return "·", "$text-muted", "to fetch (stopped before)" if stopped else "to fetch"


def too_large(model: KnownModel, shelf: Shelf) -> str:
    """Why it may not fit, in words; empty where it does, or where no one knows."""
    if shelf.memory_bytes and model.bytes > shelf.memory_bytes:
        return f"larger than {size(shelf.memory_bytes)}"
    if not model.here and shelf.free_bytes and model.bytes > shelf.free_bytes:
        return "the disk is too full"
    return ""


def room_words(shelf: Shelf) -> str:
    """What there is room for."""
    parts = []
    if shelf.memory_bytes:
        parts.append(f"{size(shelf.memory_bytes)} of memory for models")
    if shelf.free_bytes:
        parts.append(f"{size(shelf.free_bytes)} free on the disk")
    return " · ".join(parts)


def progress(pull: Pull, cells: int) -> tuple[str, str, str]:
    """A bar as its full and its empty part, and words; the bar is empty where nothing is known."""
    full, empty = "", ""
    if pull.total > 0:
        done = max(0.0, min(1.0, pull.done / pull.total))
        long = int(done * cells)
        full, empty = "━" * long, "─" * (cells - long)
        if pull.stage == "convert":
            return full, empty, f"{done:4.0%}  {pull.done} of {pull.total} tensors"
        return full, empty, f"{done:4.0%}  {size(pull.done)} of {size(pull.total)}"
    return full, empty, f"{size(pull.done)} so far" if pull.done else "…"


def notes_of(item: Item) -> Iterator[str]:
    """What else there is to say of it."""
    if item.pull is not None and item.pull.state == "failed" and not item.model.served:
        yield f"{flat(clean(item.pull.error))} Enter tries again."
    if item.model.note:
        yield flat(item.model.note)

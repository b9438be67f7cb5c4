"""What a doctor's look is made of: steps, each told as it is taken."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from aiplat.control.messages import ModelStatus


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step. `text` says what was found; `advice` what to do, when it is not well."""

    name: str
    ok: bool
    text: str
    advice: str = ""


Tell = Callable[[Step], None]


class Steps:
    """The steps so far.

    Arguments:
        tell: hears each as it is taken.
    """

    def __init__(self, tell: Tell) -> None:
        self.taken: list[Step] = []
        self._tell = tell

    def note(self, name: str, ok: bool, text: str, advice: str = "") -> None:
        """Take one."""
        step = Step(name=name, ok=ok, text=text, advice="" if ok else advice)
        self.taken.append(step)
        self._tell(step)

    def models(self, found: tuple[ModelStatus, ...]) -> None:
        """Take the last one: which models can be asked for."""
        ready = [model.name for model in found if model.state == "ready"]
        others = "; ".join(f"{m.name} is {m.state} {m.note}".strip() for m in found)
        self.note("model", bool(ready), f"ready: {few(ready)}" if ready else "none is ready",
                  others or 'Start a processor: "aiplat serve --role processor", on a machine that '
                  "can run a model.")  # fmt: skip


def few(texts: tuple[str, ...] | list[str]) -> str:
    """The first three, and how many more there are."""
    shown = ", ".join(texts[:3])
    return shown if len(texts) <= 3 else f"{shown} and {len(texts) - 3} more"

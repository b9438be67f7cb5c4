"""What a doctor's look is made of: steps, each told as it is taken."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from aiplat.control.messages import ModelStatus
from aiplat.node.membership.membership import Membership, revoked_text


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
        ready = [model.name for model in found if model.is_usable]
        others = [f"{m.name} is {m.state}{_why(m)}" for m in found]
        states = {model.state for model in found}
        text = few(ready or others)
        self.note("model", bool(ready), f"{'ready: ' if ready else ''}{text or 'none is ready'}",
                  "Wait until it is loaded, and look again." if "loading" in states else
                  '"aiplat drain --off", where it was drained, lets it have requests again; '
                  '"aiplat share" tells its owner when others may ask.'
                  if "drained" in states else
                  "The log of the node that runs it says more." if found else
                  'Start a processor: "aiplat serve --role processor", on a machine that '
                  "can run a model.")  # fmt: skip


def _why(model: ModelStatus) -> str:
    """The note, unless it says no more than the state."""
    return f": {model.note}" if model.note and model.note != f"the model is {model.state}" else ""


def note_revoked(steps: Steps, membership: Membership) -> bool:
    """Take the step of the certificate if the owner took it away; tells whether it did."""
    if membership.is_revoked and membership.record is not None:
        text = "it was revoked by the network's owner"
        steps.note("certificate", False, text, revoked_text(membership.record.name))
    return membership.is_revoked


def few(texts: tuple[str, ...] | list[str]) -> str:
    """The first three, and how many more there are."""
    shown = ", ".join(texts[:3])
    return shown if len(texts) <= 3 else f"{shown} and {len(texts) - 3} more"

"""What an empty conversation says: that it works, or what it waits for."""

from __future__ import annotations

from textual.content import Content

from aiplat.control.messages import Status
from aiplat.tui.text import flat
from aiplat.tui.world import World

_STEPS = 6


def empty_words(world: World) -> Content:
    """The text in the middle of an empty conversation."""
    status = world.status
    if not world.is_attached or status is None:
        lines = _without_node(world)
    elif any(model.is_usable for model in status.models):
        lines = _ready(status)
    else:
        lines = _no_model(status)
    return Content("\n").join(lines)


def _without_node(world: World) -> list[Content]:
    steps = [step for step in world.steps if step.strip()][-_STEPS:]
    return [
        Content.styled("The node comes up.", "bold $foreground"),
        Content("You can type already: it is asked when it is there."),
        Content(""),
        *(Content.styled(f"  {flat(step)}", "$text-muted") for step in steps),
    ]


def _ready(status: Status) -> list[Content]:
    usable = [flat(model.name) for model in status.models if model.is_usable]
    return [
        Content.styled("Ask something.", "bold $foreground"),
        Content(f"Ready: {', '.join(usable[:_STEPS])}"),
        Content(""),
        *_keys(
            ("Ctrl+O", "model, peer, and who can read"),
            ("Alt+S", "system prompt and sampling"),
            ("Alt+A", "attach a text file"),
            ("Alt+K", "do not keep this one"),
            ("Ctrl+P", "every action"),
            ("F1", "what the keys do here"),
        ),
    ]


def _keys(*told: tuple[str, str]) -> list[Content]:
    return [Content.assemble((f"{key:<8}", "$accent"), words) for key, words in told]


def _no_model(status: Status) -> list[Content]:
    notes = [
        flat(model.note) if model.name in model.note else
        f"{flat(model.name)} is {model.state}{': ' + flat(model.note) if model.note else ''}"
        for model in status.models[:_STEPS]
    ]  # fmt: skip
    return [
        Content.styled("No model is ready yet.", "bold $foreground"),
        *map(Content, notes or ["No processor with a model is there."]),
        Content(""),
        Content("You can type already. What is missing: Peers (Alt+2), key D, looks at each step."),
    ]

"""What an empty conversation says: that it works, or what it waits for."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content

from aiplat.control.messages import Status
from aiplat.tui.text import flat
from aiplat.tui.world import World

_STEPS = 6
_NO_PROCESSOR = "No processor with a model is there."


def empty_words(world: World, key_of: Callable[[str], str]) -> Content:
    """The text in the middle of an empty conversation.

    Arguments:
        key_of: gives the key of an action now, as it is shown.
    """
    status = world.status
    if not world.is_attached or status is None:
        lines = _without_node(world, key_of("app.start"))
    elif told := _who_answers(status):
        lines = _ready(told, key_of)
    else:
        lines = _no_model(status, key_of)
    return Content("\n").join(lines)


def _who_answers(status: Status) -> str:
    """What a question goes to, in words; empty where nothing answers yet."""
    names = [m.name for m in status.models if m.is_usable and m.generates]
    if not names and "gateway" not in status.roles:  # it asks a gateway, whose models are not its
        seen = [peer for peer in status.peers if peer.state == "connected"]
        names = list(dict.fromkeys(name for peer in seen for name in peer.models))
        if not any("gateway" in peer.roles for peer in seen):
            return ""
    elif not names:
        return ""
    return (
        f"Ready: {', '.join(map(flat, names[:_STEPS]))}" if names else "Ready: a gateway answers."
    )


def _without_node(world: World, start: str) -> list[Content]:
    """Why nobody answers yet; the line above the panes tells what went wrong."""
    steps: list[str] = []
    match world.phase:
        case "failed":
            head, more = "The node did not start.", f"The line above says why; {start} tries again."
        case "lost":
            head, more = "The node is gone.", f"{start} starts it, and so does a question."
        case _:
            head, more = "The node comes up.", "You can type already: it is asked when it is there."
            steps = [step for step in world.steps if step.strip()][-_STEPS:]
    return [
        Content.styled(head, "bold $foreground"),
        Content(more),
        Content(""),
        *(Content.styled(f"  {flat(step)}", "$text-muted") for step in steps),
    ]


def _ready(told: str, key_of: Callable[[str], str]) -> list[Content]:
    return [
        Content.styled("Ask something.", "bold $foreground"),
        Content(told),
        Content(""),
        *_keys(
            (key_of("chat.pick"), "model, peer, and who can read"),
            (key_of("chat.settings"), "system prompt and sampling"),
            (key_of("chat.attach"), "attach a text file"),
            (key_of("chat.keep"), "do not keep this one"),
            (key_of("app.palette"), "every action"),
            (key_of("app.help"), "what the keys do here"),
        ),
    ]


def _keys(*told: tuple[str, str]) -> list[Content]:
    return [Content.assemble((f"{key:<8}", "$accent"), words) for key, words in told]


def _no_model(status: Status, key_of: Callable[[str], str]) -> list[Content]:
    notes = [
        flat(model.note) if model.name in model.note else
        f"{flat(model.name)} is {model.state}{': ' + flat(model.note) if model.note else ''}"
        for model in status.models[:_STEPS]
    ]  # fmt: skip
    peers, doctor = key_of("app.peers"), key_of("peers.doctor")
    nobody = "No gateway is reached yet." if "gateway" not in status.roles else _NO_PROCESSOR
    return [
        Content.styled("No model is ready yet.", "bold $foreground"),
        *map(Content, notes or [nobody]),
        Content(""),
        Content(
            f"You can type already. What is missing? {doctor} in Peers ({peers}) looks into it."
        ),
    ]

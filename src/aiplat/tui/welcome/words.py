"""What the card of the first run says: how the node is, and what one can do. Knows no widget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aiplat.control.messages import ModelStatus, Status
from aiplat.tui.text import flat
from aiplat.tui.world import World

Colour = Literal["$success", "$warning", "$error", "$accent"]
Flow = Literal["create", "invite", "join", "choose_model", "edit_share", "make_key"]
_SMALL = "smollm2-135m"


@dataclass(frozen=True)
class State:
    """How the node is: a sign with its colour, a line, and what there is to say of it."""

    sign: str
    colour: Colour
    line: str
    more: str = ""


@dataclass(frozen=True)
class Offer:
    """One thing that can be done.

    Arguments:
        number: the key that does it.
        flow: its name.
        about: in few words, what it is good for.
    """

    number: int
    flow: Flow
    title: str
    about: str


def state_of(world: World, start_key: str) -> State:
    """How the node is, for a person who sees this for the first time.

    Arguments:
        start_key: the key that starts it, as it is shown.
    """
    match world.phase:
        case "looking":
            return State("○", "$warning", "Looking for the node …")
        case "starting":
            steps = [flat(step) for step in world.steps if step.strip()]
            more = "\n".join(steps[-3:]) or "The first time takes longest: the model is unpacked."
            return State(
                "○", "$warning", "The node starts. You can chat as soon as it is there.", more
            )
        case "lost" | "failed":
            return State(
                "✕", "$error", "No node answers.", f"{world.trouble} {start_key} starts it."
            )
        case _:
            return _attached(world.status)


def _attached(status: Status | None) -> State:
    models = status.models if status is not None else ()
    if ready := [model for model in models if model.state == "ready"]:
        return State("●", "$success", "You can chat now.", _who_answers(ready))
    if cold := [model for model in models if model.state == "cold" or model.cold]:
        more = f"{_who_answers(cold)} The first question has it loaded: that takes some seconds."
        return State("●", "$success", "You can chat now.", more)
    if loading := [model for model in models if model.state == "loading"]:
        more = f"{flat(loading[0].name)} is read into memory. You can type your question meanwhile."
        return State("○", "$warning", "The model loads …", more)
    why = flat(models[0].note) if models else ""
    more = f"{why} Choose a model (3), or join a network that has one (2).".strip()
    return State("▲", "$warning", "No model answers yet.", more)


def _who_answers(models: Sequence[ModelStatus]) -> str:
    name = flat(models[0].name)
    others = len(models) - 1
    also = f" and {others} more" if others else ""
    if name.startswith(_SMALL) and not others:
        return (
            f"{name} answers, on this machine. It is small: it runs anywhere, but is often wrong. "
            "3 gets a larger one."
        )
    return f"{name}{also} can answer."


def offers(status: Status | None) -> tuple[Offer, ...]:
    """What can be done now."""
    network = status.network if status is not None else None
    if network is None:
        first = Offer(1, "create", "Create a network", "machines help each other")
        second = Offer(2, "join", "Join a network", "with somebody's token")
    else:
        name = flat(network.name)
        first = Offer(1, "invite", "Invite a machine", f"to {name}, with a token")
        second = Offer(2, "join", "Join another network", f"instead of {name}")
    return (
        first,
        second,
        Offer(3, "choose_model", "Choose a model", "what is here, or on the hub"),
        Offer(4, "edit_share", "Share this machine", _share_words(status)),
        Offer(5, "make_key", "Make a key", "for your own programs"),
    )


def is_paused(status: Status | None) -> bool:
    """Whether the owner takes nothing from others now."""
    return status is not None and status.share is not None and status.share.terms.paused


def _share_words(status: Status | None) -> str:
    share = status.share if status is not None else None
    if share is None:
        return "when, how much, with whom"
    if share.terms.paused:
        return "paused now; p goes on"
    return "open; p pauses" if share.state == "open" else "closed now: when, how much"

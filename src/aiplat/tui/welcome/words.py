"""What the card of the first run says: how the node is, and what one can do. Knows no widget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from aiplat.control.messages import ModelStatus, ShareStatus, Status
from aiplat.tui.peers.possible import why_not
from aiplat.tui.text import flat
from aiplat.tui.world import World

Colour = Literal["$success", "$warning", "$error", "$accent"]
Flow = Literal["create", "invite", "join", "choose_model", "edit_share", "make_key"]
KeyOf = Callable[[str], str]
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
        off: why it cannot be done now; empty where it can.
    """

    number: int
    flow: Flow
    title: str
    about: str
    off: str = ""


@dataclass(frozen=True)
class Asked:
    """What was said of the models that can be asked for: them, or why nothing was said."""

    models: tuple[ModelStatus, ...] = ()
    trouble: str = ""


def state_of(world: World, key_of: KeyOf, asked: Asked | None = None) -> State:
    """How the node is, for a person who sees this for the first time.

    Arguments:
        key_of: gives the key of an action now, as it is shown.
        asked: what the gateways of a node that is none said of their models; None for nothing yet.
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
            start = key_of("app.start") or "The command palette"
            return State("✕", "$error", "No node answers.", f"{world.trouble} {start} starts it.")
        case _ if world.status is not None and asks_others(world.status):
            return _attached(world.status, asked, key_of)
        case _:
            models = world.status.models if world.status is not None else ()
            return _attached(world.status, Asked(models), key_of)


def asks_others(status: Status) -> bool:
    """Whether it is no gateway: its status tells nothing of the models that it can ask for."""
    return "gateway" not in status.roles


def _attached(status: Status | None, asked: Asked | None, key_of: KeyOf) -> State:
    if asked is None:
        return State("○", "$warning", "Looking for who answers …", "You can type meanwhile.")
    models = [model for model in asked.models if model.generates]
    if ready := [model for model in models if model.state == "ready"]:
        return State("●", "$success", "You can chat now.", _who_answers(ready, status, key_of))
    if cold := [model for model in models if model.state == "cold" or model.cold]:
        who = _who_answers(cold, status, key_of)
        more = f"{who} The first question has it loaded: that takes some seconds."
        return State("●", "$success", "You can chat now.", more)
    if loading := [model for model in models if model.state == "loading"]:
        more = f"{flat(loading[0].name)} is read into memory. You can type your question meanwhile."
        return State("○", "$warning", "The model loads …", more)
    why = flat(asked.trouble or (models[0].note if models else ""))
    more = f"{why} {_way_out(status, key_of)}".strip()
    return State("▲", "$warning", "No model answers yet.", more)


def _way_out(status: Status | None, key_of: KeyOf) -> str:
    """What to do where no model answers, of what is offered."""
    can = {offer.flow for offer in offers(status, key_of) if not offer.off}
    ways = []
    if "choose_model" in can:
        ways.append(f"choose a model ({key_of('welcome.3')})")
    if "join" in can:
        ways.append(f"join a network that has one ({key_of('welcome.2')})")
    if not ways:
        ways.append(f"see what is missing with {key_of('peers.doctor')} in Peers")
    text = ", or ".join(ways)
    return f"{text[0].upper()}{text[1:]}."


def _who_answers(models: Sequence[ModelStatus], status: Status | None, key_of: KeyOf) -> str:
    name = flat(models[0].name)
    others = len(models) - 1
    also = f" and {others} more" if others else ""
    if not name.startswith(_SMALL) or others:
        return f"{name}{also} can answer."
    small = "It is small: it runs anywhere, but is often wrong."
    if status is None or "processor" not in status.roles:
        return f"{name} answers. {small}"
    return f"{name} answers, on this machine. {small} {key_of('welcome.3')} gets a larger one."


def offers(status: Status | None, key_of: KeyOf) -> tuple[Offer, ...]:
    """What can be done, and of what cannot be done now, why not.

    Arguments:
        key_of: gives the key of an action now, as it is shown.
    """
    network = status.network if status is not None else None
    share = status.share if status is not None else None
    if network is None:
        first = Offer(1, "create", "Create a network", "machines help each other")
        second = Offer(2, "join", "Join a network", "with somebody's token")
    else:
        name = flat(network.name)
        first = Offer(1, "invite", "Invite a machine", f"to {name}, with a token",
                      off=why_not("invite", status, share))  # fmt: skip
        second = Offer(2, "join", "Join a network", "", off=f"leave {name} first, in Peers")
    runs_none = status is not None and "processor" not in status.roles
    none = "this node is no processor" if runs_none else ""
    return (
        first,
        second,
        Offer(3, "choose_model", "Choose a model", "what is here, or on the hub", off=none),
        Offer(4, "edit_share", "Share this machine", _share_words(share, key_of),
              off=why_not("terms", status, share) if status is not None else ""),
        Offer(5, "make_key", "Make a key", "for your own programs"),
    )  # fmt: skip


def is_paused(status: Status | None) -> bool:
    """Whether the owner takes nothing from others now."""
    return status is not None and status.share is not None and status.share.terms.paused


def _share_words(share: ShareStatus | None, key_of: KeyOf) -> str:
    pause = key_of("welcome.pause")
    if share is None:
        return "when, how much, with whom"
    if share.terms.paused:
        return f"paused now; {pause} goes on"
    return f"open; {pause} pauses" if share.state == "open" else "closed now: when, how much"

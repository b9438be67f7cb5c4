"""Chooses the model, the gateway and who can read: with load and speed, so that it is a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Label, OptionList, RadioButton, RadioSet, Static
from textual.widgets.option_list import Option

from aiplat.control.messages import ModelStatus, PeerStatus
from aiplat.domain.answers import Privacy
from aiplat.domain.conversations import ConversationSettings
from aiplat.tui.chat.why import READERS
from aiplat.tui.dialogs import Dialog
from aiplat.tui.text import amount, cut, filled, flat, short_peer

PRIVACIES: tuple[Privacy, ...] = ("any", "network", "machine")
ABSENT = "not there now"
_STATE_CELLS, _LOAD_CELLS, _SPEED_CELLS = 11, 8, 10
_WIDTH = 84
"""Of the box, as its CSS has it; 96 % of a narrow screen (`Dialog`)."""
_WORDS = {"any": "any", "network": "my network", "machine": "this machine"}


NO_SPEEDS: Mapping[str, float] = {}


@dataclass(frozen=True)
class Offer:
    """A model that can be chosen; the empty name leaves it to the gateway.

    `there` is false of one that was chosen before and that nobody offers now.
    """

    name: str
    state: str
    load: str = ""
    speed: str = ""
    where: str = ""
    usable: bool = True
    there: bool = True


def offers(
    models: Sequence[ModelStatus],
    peers: Sequence[PeerStatus],
    own: str,
    *,
    speeds: Mapping[str, float] = NO_SPEEDS,
) -> list[Offer]:
    """Each model that answers, with how loaded it is, how fast the fastest is, and who has it.

    Arguments:
        own: this machine's peer id.
        speeds: by model the tokens a second of an answer that this machine gave.
    """
    found = [Offer("", "the gateway's first that is ready")]
    for model in models:
        if not model.generates:
            continue  # it makes vectors: nobody talks with it
        having = [
            peer for peer in peers
            if model.name in peer.models and peer.state == "connected" and peer.peer_id != own
        ]  # fmt: skip
        is_here = model.processors > len(having)
        known = [_speed_of(peer) for peer in having]
        known.append(speeds.get(model.name, 0.0) if is_here else 0.0)
        where = ["here"] if is_here else []
        where += [short_peer(peer.peer_id) for peer in having[:3]]
        found.append(Offer(
            model.name, model.note or model.state if not model.is_usable else model.state,
            _load_words(model.running, model.slots, model.waiting), _speed_words(max(known)),
            ", ".join(where), model.is_usable,
        ))  # fmt: skip
    return found


def _speed_of(peer: PeerStatus) -> float:
    """Tokens a second as they were measured, else as it announced them; 0 for unknown."""
    return peer.measured_tokens_per_second or peer.tokens_per_second or 0.0


def _speed_words(speed: float) -> str:
    return f"{amount(speed)} tok/s" if speed > 0 else ""


def _load_words(running: int, slots: int, waiting: int) -> str:
    load = f"{running}/{slots}" if slots else ""
    return f"{load} +{waiting}".strip() if waiting else load


def with_chosen(found: Sequence[Offer], chosen: str) -> list[Offer]:
    """The offers and, where it is none of them, what was chosen before: it stays so."""
    if any(offer.name == chosen for offer in found):
        return list(found)
    return [*found, Offer(chosen, ABSENT, there=False)]


class Reader(RadioButton):
    """One who may read. Which is chosen is seen without colours, too."""

    @property
    def _button(self) -> Content:
        return Content("(•)" if self.value else "( )")


class Picker(Dialog[ConversationSettings]):
    """The choice; gives the settings as they then are.

    Arguments:
        settings: of the conversation.
        found: the models.
        gateways: those that can be asked by name.
    """

    heading = "Model, peer, and who can read"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "done", "Take it", id="picker.done"),
    ]

    DEFAULT_CSS = """
    Picker > Vertical { width: 84; }
    Picker OptionList { height: auto; max-height: 12; margin-bottom: 1; border: none;
        background: $panel; }
    Picker.-short OptionList { max-height: 4; margin-bottom: 0; }
    Picker RadioSet { height: auto; border: none; background: $surface; margin-bottom: 1;
        padding: 0; width: 100%; }
    Picker.-short RadioSet { margin-bottom: 0; }
    Picker.-short #gateways { max-height: 2; }
    Picker OptionList:focus, Picker RadioSet:focus { border: none; }
    Picker Reader, Picker Reader:focus { background: transparent; padding: 0; border: none; }
    """

    def __init__(
        self,
        settings: ConversationSettings,
        found: Sequence[Offer],
        gateways: Sequence[PeerStatus],
        *,
        trouble: str = "",
    ) -> None:
        super().__init__()
        self._settings = settings
        self._found = with_chosen(found, settings.model)
        self._gateways: dict[str, PeerStatus | str] = {"": "any that is there"}
        self._gateways |= {peer.address: peer for peer in gateways if peer.address}
        self._gateways.setdefault(settings.peer, f"{short_peer(settings.peer)} ({ABSENT})")
        self._trouble = trouble

    def compose(self) -> ComposeResult:
        """Three lists, and two buttons."""
        with Vertical():
            yield Static(Content(flat(self._trouble)), classes="fault")
            yield Label("Model")
            room = _room(self.app.size.width)
            yield OptionList(*[Option(_row(o, room), disabled=not o.usable) for o in self._found],
                             id="models", markup=False)  # fmt: skip
            yield Label("Gateway")
            yield OptionList(*[Option(_gateway(who, room)) for who in self._gateways.values()],
                             id="gateways", markup=False)  # fmt: skip
            yield Label("Who can read it")
            with RadioSet(id="privacy"):
                for privacy in PRIVACIES:
                    yield Reader(
                        Content(f"{_WORDS[privacy]}: {READERS[privacy]}"),
                        privacy == self._settings.privacy,
                    )
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="no")
                yield Button("Take it", id="yes", variant="primary")

    def on_mount(self) -> None:
        """Stand on what holds now."""
        super().on_mount()
        self.fault(self._trouble)
        names = [offer.name for offer in self._found]
        models = self.query_one("#models", OptionList)
        models.highlighted = names.index(self._settings.model)
        gateways = self.query_one("#gateways", OptionList)
        gateways.highlighted = list(self._gateways).index(self._settings.peer)
        models.focus()

    def action_done(self) -> None:
        """Take what is marked."""
        model = self._found[self.query_one("#models", OptionList).highlighted or 0].name
        place = self.query_one("#gateways", OptionList).highlighted or 0
        peer = list(self._gateways)[place]
        pressed = self.query_one("#privacy", RadioSet).pressed_index
        privacy = PRIVACIES[pressed] if pressed >= 0 else self._settings.privacy
        self.dismiss(replace(self._settings, model=model, peer=peer, privacy=privacy))

    @on(OptionList.OptionSelected)
    def _on_choice(self, event: OptionList.OptionSelected) -> None:
        """Enter on a model takes it, with what is marked below."""
        event.stop()
        if event.option_list.id == "models":
            self.action_done()
        else:
            self.query_one("#privacy").focus()

    @on(Button.Pressed)
    def _on_button(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self.action_done()
        else:
            self.dismiss(None)


def _row(offer: Offer, room: int) -> Content:
    """A model in a line of so many cells: what matters least is left out where it is narrow."""
    sign = ("● ", "$success") if offer.usable and offer.name else ("  ", "")
    if not offer.usable:
        sign = ("✕ ", "$error")
    if not offer.there:
        sign = ("◌ ", "$warning")
    width = _name_cells(room)
    name = cut(flat(offer.name) or "automatic", width)
    if not offer.name or not offer.usable or not offer.there:
        rest = cut(flat(offer.state), room - width - 4)
        return Content.assemble(sign, filled(name, width + 1), (rest, "$text-muted"))
    parts: list[str | tuple[str, str]] = [
        (filled(cut(flat(offer.state), _STATE_CELLS - 1), _STATE_CELLS), "$text-muted"),
        filled(offer.load, _LOAD_CELLS),
        (filled(offer.speed, _SPEED_CELLS), "$success"),
    ]
    where = room - width - 3 - _STATE_CELLS - _LOAD_CELLS - _SPEED_CELLS
    if where > 6:
        parts.append((cut(offer.where, where), "$text-muted"))
    return Content.assemble(sign, filled(name, width + 1), *parts)


def _room(width: int) -> int:
    """Cells of a line on a screen of so many: without the frame, and what stands free in it."""
    return min(_WIDTH, width * 96 // 100) - 8


def _name_cells(room: int) -> int:
    return 30 if room > 70 else min(20, room - _STATE_CELLS - _LOAD_CELLS - _SPEED_CELLS - 3)


def _gateway(who: PeerStatus | str, room: int) -> Content:
    """A gateway in a line of so many cells, or what stands there instead of one.

    Of one that is a processor, too, load and speed stand below those of the models.
    """
    if isinstance(who, str):
        return Content(cut(who, room))
    latency = f", {who.latency_ms:.0f} ms" if who.latency_ms is not None else ""
    words = f"{short_peer(who.peer_id)} ({flat(who.path or who.state)}{latency})"
    load = _load_words(who.running or 0, who.slots or 0, who.waiting or 0)
    speed = _speed_words(_speed_of(who))
    if not (load or speed):
        return Content(cut(words, room))
    cells = 2 + _name_cells(room) + 1 + _STATE_CELLS
    return Content.assemble(
        filled(cut(words, cells - 1), cells), filled(load, _LOAD_CELLS), (speed, "$success")
    )

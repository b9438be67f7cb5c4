"""Which key does what, as a person set it: shown keys, and which keys cannot be given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from textual.binding import Binding, BindingType

from aiplat.domain.errors import InvalidRequest
from aiplat.tui.actions import Known

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame

RESERVED = {
    "escape": "Esc always goes back",
    "enter": "Enter always chooses",
    "tab": "Tab goes from part to part",
    "shift+tab": "Shift+Tab goes from part to part",
    "ctrl+h": "on many terminals it is the same as Backspace",
    "ctrl+i": "on many terminals it is the same as Tab",
    "ctrl+j": "on many terminals it is the same as Enter",
    "ctrl+m": "on many terminals it is the same as Enter",
    "ctrl+left_square_bracket": "on many terminals it is the same as Esc",
    "backspace": "it gives an action its usual key back here",
    "ctrl+c": "it copies in a line that is typed",
}
"""Keys that cannot be given to an action, and why."""


def display(app: Frame, key: str) -> str:
    """A key as a person reads it."""
    for binding in Binding.make_bindings([Binding(key, "")]) if key else ():
        return app.get_key_display(binding)
    return ""


def shown(app: Frame, name: str, bindings: Iterable[BindingType]) -> str:
    """The key that does that now, of these bindings; empty where none has that name."""
    for binding in bindings:
        if isinstance(binding, Binding) and binding.id == name:
            keys = app.preferences.keymap.get(name, binding.key)
            return display(app, keys.partition(",")[0].strip())
    return ""


def keys_of(action: Known, keymap: Mapping[str, str]) -> tuple[str, ...]:
    """The keys of an action now, in Textual's names."""
    keys = keymap.get(action.id, action.keys)
    return tuple(b.key for b in Binding.make_bindings([Binding(keys, "")])) if keys else ()


def changed(
    actions: Sequence[Known], keymap: Mapping[str, str], name: str, key: str
) -> dict[str, str]:
    """The keymap with another key for an action.

    Raises:
        InvalidRequest: the key is taken by an action that can be done in the same place, or is one
            that cannot be given.
    """
    action = next(known for known in actions if known.id == name)
    if key in RESERVED:
        raise InvalidRequest(f"{key} cannot be given to “{action.description}”: {RESERVED[key]}.")
    if action.group == "app" and len(key) == 1:
        raise InvalidRequest(
            f"{key} cannot be given to “{action.description}”: it holds everywhere, and one could "
            "type that letter no more. Take a key with Ctrl or Alt, or one of F1 to F12."
        )
    for other in actions:
        if other.id != name and meets(action, other) and key in keys_of(other, keymap):
            raise InvalidRequest(
                f"{key} is the key of “{other.description}” ({other.place}), which “"
                f"{action.description}” ({action.place}) would hide. Give that another key first."
            )
    return {**keymap, name: key}


def meets(one: Known, other: Known) -> bool:
    """Whether two actions can be possible at the same time."""
    if one.group == other.group or "app" in (one.group, other.group):
        return True
    if "table" in (one.group, other.group):
        return bool(one.pane or other.pane)
    return bool(one.pane) and one.pane == other.pane

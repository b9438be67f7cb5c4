"""Which key does what, as a person set it: shown keys, and which keys cannot be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from textual.app import App
from textual.binding import Binding
from textual.keys import Keys, key_to_character

from aiplat.domain.errors import InvalidRequest
from aiplat.tui.actions import Known, usual_keys
from aiplat.tui.text import flat

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

_TYPING: Final = ("chat", "composer", "dialog", "help", "picker", "jump")
"""Groups of actions that are done while a line or a text has the focus."""
_MODIFIERS: Final = frozenset({"ctrl", "alt", "shift", "super", "hyper", "meta"})
_NAMED: Final = frozenset(key.value for key in Keys)
_MOST_TOLD: Final = 3


def display(app: App[Any], key: str) -> str:
    """A key as a person reads it."""
    for binding in Binding.make_bindings([Binding(key, "")]) if key else ():
        return app.get_key_display(binding)
    return ""


def key_of(app: App[Any], keymap: Mapping[str, str], name: str) -> str:
    """The first key of an action now, as a person reads it; empty where none has that name."""
    keys = _split(keymap.get(name, "") or usual_keys(name))
    return display(app, keys[0]) if keys else ""


def keys_of(action: Known, keymap: Mapping[str, str]) -> tuple[str, ...]:
    """The keys of an action now, in Textual's names."""
    return _split(keymap.get(action.id, action.keys))


def _split(keys: str) -> tuple[str, ...]:
    named = ",".join(key.strip() for key in keys.split(",") if key.strip())
    return tuple(b.key for b in Binding.make_bindings([Binding(named, "")])) if named else ()


def sound(keymap: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The keymap without keys that no terminal sends, and what was left out, in words."""
    good: dict[str, str] = {}
    bad: list[str] = []
    for name, keys in keymap.items():
        if keys.strip() and all(_is_key(key.strip()) for key in keys.split(",")):
            good[name] = keys
        else:
            bad.append(f"{flat(name)} (“{flat(keys)}”)")
    if not bad:
        return good, ""
    more = f" and {len(bad) - _MOST_TOLD} more" if len(bad) > _MOST_TOLD else ""
    return good, (
        f"No key, in the settings of the terminal: {', '.join(bad[:_MOST_TOLD])}{more}. "
        "The usual ones hold; Settings, Keys, gives another."
    )


def _is_key(key: str) -> bool:
    *modifiers, base = key.split("+")
    return set(modifiers) <= _MODIFIERS and (
        len(base) == 1 or key in _NAMED or base in _NAMED or key_to_character(base) is not None
    )


def changed(
    actions: Sequence[Known], keymap: Mapping[str, str], name: str, key: str
) -> dict[str, str]:
    """The keymap with another key for an action.

    Two actions that share their usual key exclude each other: they may share another one, too.

    Raises:
        InvalidRequest: the key is taken by an action that can be done in the same place, or is one
            that cannot be given.
    """
    action = next(known for known in actions if known.id == name)
    if key not in keys_of(action, {}):
        _check(action, key)
    for other in rivals(actions, keymap, action, key):
        raise InvalidRequest(
            f"{key} is the key of “{other.description}” ({other.place}), which “"
            f"{action.description}” ({action.place}) would hide. Give that another key first."
        )
    return {**keymap, name: _with_escape(name, key)}


def _with_escape(name: str, keys: str) -> str:
    """Esc always goes back: what has it by nature keeps it beside another key."""
    had, has = _split(usual_keys(name)), _split(keys)
    return f"{keys},escape" if "escape" in had and "escape" not in has else keys


def rivals(
    actions: Sequence[Known], keymap: Mapping[str, str], action: Known, key: str
) -> list[Known]:
    """Other actions of the same place with that key, unless they share a usual one with it."""
    usual = set(keys_of(action, {}))
    return [
        other for other in actions
        if other.id != action.id and meets(action, other) and key in keys_of(other, keymap)
        and not usual & set(keys_of(other, {}))
    ]  # fmt: skip


def _check(action: Known, key: str) -> None:
    refused = f"{key} cannot be given to “{action.description}”"
    if key in RESERVED:
        raise InvalidRequest(f"{refused}: {RESERVED[key]}.")
    if not action.priority and action.group not in _TYPING:
        return
    if not action.priority and any(map(_types, keys_of(action, {}))):
        return  # no text is typed where it has a letter
    holds = "it holds everywhere" if action.priority else "text is typed there"
    better = "Take a key with Ctrl or Alt, or one of F1 to F12."
    if _types(key):
        raise InvalidRequest(
            f"{refused}: {holds}, and one could type that letter no more. {better}"
        )
    if key in _editing():
        raise InvalidRequest(f"{refused}: {holds}, and that key edits what is typed. {better}")


def _types(key: str) -> bool:
    return (key_to_character(key) or "\n").isprintable()


@cache
def _editing() -> frozenset[str]:
    """The keys of a line and of a text that are typed."""
    from textual.widgets import Input, TextArea

    bindings = Binding.make_bindings([*Input.BINDINGS, *TextArea.BINDINGS])
    return frozenset(binding.key for binding in bindings)


def meets(one: Known, other: Known) -> bool:
    """Whether two actions can be possible at the same time."""
    if one.group == other.group or "app" in (one.group, other.group):
        return True
    if "table" in (one.group, other.group):
        return bool(one.pane or other.pane)
    return bool(one.pane) and one.pane == other.pane

"""Every action that has a name (a binding's id), of all panes, seen or not.

The command palette, the help and the keymap of the settings are made from it. It imports every
module of the screens, so call `known_actions` in a thread the first time.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

import aiplat.tui

_OURS = "aiplat.tui."
_PANES = ("chat", "peers", "keys", "usage", "logs")
_APART = {"peers": "aiplat.tui.peers.bindings"}
"""Bindings in a small module of their own: other panes name their keys."""
_usual: dict[str, str] = {}
_TITLES = {"app": "Everywhere", "table": "Tables", "dialog": "Dialogs"}


@dataclass(frozen=True)
class Known:
    """An action.

    Arguments:
        id: its name, such as ``peers.invite``.
        keys: what it is bound to unless a person says otherwise, parted by commas.
        action: as Textual names it.
        description: in words.
        pane: the pane in which it can be done; empty where it belongs to none, or to a screen of
            its own.
        priority: whether its key goes before what has the focus, so that it types nothing.
    """

    id: str
    keys: str
    action: str
    description: str
    pane: str = ""
    priority: bool = False

    @property
    def group(self) -> str:
        """The first part of its name."""
        return self.id.partition(".")[0]

    @property
    def place(self) -> str:
        """Where it can be done, in a word."""
        return title_of(self.group)


def title_of(group: str) -> str:
    """The word for a group of actions."""
    return _TITLES.get(group, group.capitalize())


@cache
def known_actions() -> tuple[Known, ...]:
    """All of them: those of everywhere, then pane by pane, then the rest."""
    for module in pkgutil.walk_packages(aiplat.tui.__path__, _OURS):
        importlib.import_module(module.name)
    return tuple(sorted(_imported().values(), key=lambda known: _order(known.group)))


def usual_keys(name: str) -> str:
    """The keys of an action unless a person says otherwise, parted by commas; empty for none.

    It imports no pane: of those that were not shown yet, only `_APART` are known.
    """
    if name not in _usual:
        _usual.update({known.id: known.keys for known in _imported().values()})
    if name not in _usual and name.partition(".")[0] in _APART:
        apart = importlib.import_module(_APART[name.partition(".")[0]])
        _usual.update({binding.id: binding.key for binding in apart.BINDINGS})
    return _usual.get(name, "")


def _imported() -> dict[str, Known]:
    """Those of the classes that were imported until now."""
    found: dict[str, Known] = {}
    for kind in _kinds(DOMNode):
        for binding in kind.__dict__.get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id and binding.id not in found:
                found[binding.id] = Known(
                    binding.id, binding.key, binding.action,
                    binding.description or binding.id, _pane_of(kind), binding.priority,
                )  # fmt: skip
    return found


def _kinds(root: type[DOMNode]) -> Iterator[type[DOMNode]]:
    seen: set[type[DOMNode]] = set()
    left = [root]
    while left:
        kind = left.pop()
        for below in reversed(kind.__subclasses__()):
            if below not in seen:
                seen.add(below)
                left.append(below)
        if kind.__module__.startswith(_OURS):
            yield kind


def _pane_of(kind: type[DOMNode]) -> str:
    part = kind.__module__.removeprefix(_OURS).partition(".")[0]
    return part if part in _PANES and not issubclass(kind, Screen) else ""


def _order(group: str) -> tuple[int, str]:
    groups = ("app", *_PANES, "table", "dialog")
    return (groups.index(group), "") if group in groups else (len(groups), group)

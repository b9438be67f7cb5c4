"""Mends how Textual 8.2.8 gives actions other keys than their own.

It forgets an action whose usual key another one shares, as Drain and Undrain do, as soon as one of
the two gets another key; and the other way round, one that had a key which is given away.
"""

from __future__ import annotations

from collections.abc import Mapping

from textual.binding import Binding, BindingsMap, KeymapApplyResult


def mend() -> None:
    """Have every action keep its key until it gets another one; for the whole process."""
    BindingsMap.apply_keymap = apply  # type: ignore[method-assign,assignment]  # that is the mending


def apply(bindings: BindingsMap, keymap: Mapping[str, str]) -> KeymapApplyResult:
    """Give the actions of a map their keys; those that were given come before those that stay.

    Arguments:
        keymap: keys by an action's name, parted by commas, in Textual's names.
    """
    found: dict[str, tuple[list[Binding], list[Binding]]] = {}
    seen: set[tuple[str, str]] = set()
    for key, there in bindings.key_to_bindings.items():
        for binding in there:
            given = keymap.get(binding.id or "", "")
            if not given:
                found.setdefault(key, ([], []))[1].append(binding)
            elif (name := (binding.id or "", binding.action)) not in seen:
                seen.add(name)
                for new in given.split(","):
                    moved = binding.with_key(key=new, key_display=None)
                    found.setdefault(new, ([], []))[0].append(moved)
    bindings.key_to_bindings = {key: moved + stay for key, (moved, stay) in found.items()}
    return KeymapApplyResult(set())

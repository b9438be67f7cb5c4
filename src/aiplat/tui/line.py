"""Fields that are typed into: keys that come fast, as over a slow line, act in their order.

Textual inserts a letter at once, and sends every other key up to the app before it acts: a
backspace is overtaken by the letters behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.events import Key
from textual.widget import Widget
from textual.widgets import Input

# Textual takes a widget's styles from its first base that is one.
if TYPE_CHECKING:
    _Base = Widget
else:
    _Base = object


class InOrder(_Base):
    """A field whose own keys act at once, as its letters do."""

    async def _on_key(self, event: Key) -> None:
        if event.is_printable:
            return
        for binding in self._own().get(event.key, ()):
            if await self.app.run_action(binding.action, default_namespace=self):
                event.stop()
                event.prevent_default()
                return

    def _own(self) -> dict[str, list[Binding]]:
        """Its actions by their keys, as a person set them."""
        for node, bindings in self.screen._binding_chain:
            if node is self:
                found: dict[str, list[Binding]] = bindings.key_to_bindings
                return found
        return self._bindings.key_to_bindings  # a Tab that came since has led elsewhere


class Line(InOrder, Input):
    """A field of one line."""

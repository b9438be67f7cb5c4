"""Every action, in the command palette."""

from __future__ import annotations

from textual.command import Hit, Hits, Provider


class ActionsProvider(Provider):
    """It."""

    async def search(self, query: str) -> Hits:
        """Search."""
        hits: list[Hit] = []
        for hit in hits:
            yield hit

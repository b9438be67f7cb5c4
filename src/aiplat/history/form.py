"""The name of the form that a file of the history has, and its steps."""

from __future__ import annotations

SET = "aiplat.history"
"""The name of our steps among those that a file remembers."""
NAMES: tuple[str, ...] = ("0001-conversations",)
"""Every step, in order: those of `aiplat.history.migrations`."""
TOKENS = "tokenize='unicode61 remove_diacritics 2'"
"""How a text is parted into words (SQLite, "FTS5", 4.3.1), also where they are only marked."""

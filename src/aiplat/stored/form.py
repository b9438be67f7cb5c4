"""The name of the form that a file of stored answers has, and its steps."""

from __future__ import annotations

SET = "aiplat.stored"
"""The name of our steps among those that a file remembers."""
NAMES: tuple[str, ...] = ("0001-answers",)
"""Every step, in order: those of `aiplat.stored.migrations`."""

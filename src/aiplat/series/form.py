"""The name of the form that a file of the series has, and its steps."""

from __future__ import annotations

SET = "aiplat.series"
"""The name of our steps among those that a file remembers."""
NAMES: tuple[str, ...] = ("0001-minutes-and-hours",)
"""Every step, in order: those of `aiplat.series.migrations`."""

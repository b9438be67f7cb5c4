"""The signs that a line for a person begins with, and where they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

SIGNS = {"start": "🚀", "done": "✅", "failed": "❌", "request": "🔄", "model": "🤖"}


def wants_signs(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether lines on `stream` may begin with a sign: a terminal, and no ``NO_COLOR``."""
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    encoding = (getattr(stream, "encoding", None) or "").lower()
    return stream.isatty() and encoding.startswith("utf")

"""The stages of a pull, and who hears of them."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with the stage, how much is done, and of how much: bytes, or tensors to ``convert``.

While nothing moves it is called with the same again, a few times a second and from any thread:
what it raises ends the pull, which leaves what an interrupted one does.
"""

STAGES = ("wait", "download", "verify", "unpack", "convert")

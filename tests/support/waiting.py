"""Waiting in tests: always for a condition, always with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], seconds: float = 60.0, what: str = "") -> T:
    """Ask `check` until it gives something true; gives that.

    Raises:
        AssertionError: it did not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := check()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds:g} s: {what or check}")
        pause.wait(0.02)
    return found

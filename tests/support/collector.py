"""What is left when nothing looks for cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collector() -> Iterator[None]:
    """Have only what nobody refers to go, within the block."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

"""What is left when nothing looks for cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

Kind = TypeVar("Kind")


@contextmanager
def no_collector() -> Iterator[None]:
    """Have only what nobody refers to go, within the block."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def living(kind: type[Kind]) -> list[Kind]:
    """What there is of a kind, itself and not a kind of it, wherever it is held.

    By its type and not by `isinstance`, which asks each object of the process for its
    `__class__`: torch, where another test has loaded it, warns at that.
    """
    return [found for found in gc.get_objects() if type(found) is kind]

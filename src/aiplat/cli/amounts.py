"""Amounts on the command line (`aiplat.domain.amounts`): what is read wrong is wrong use of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import typer

from aiplat.domain import amounts
from aiplat.domain.amounts import COUNTS, MAX_COUNT, MAX_SPAN, SPANS, about, exactly
from aiplat.domain.errors import InvalidRequest

Value = TypeVar("Value")

__all__ = [
    "MAX_COUNT",
    "MAX_SPAN",
    "about",
    "count",
    "count_or_none",
    "exactly",
    "span",
    "span_or_never",
]


def span(text: str, option: str, examples: str = SPANS) -> int:
    """Read a span of time, in seconds, as `option` takes it; raises `BadParameter`."""
    return _read(option, lambda: amounts.span(text, examples))


def span_or_never(text: str, option: str) -> int | None:
    """Read a span of time; None for ``never``."""
    return _read(option, lambda: amounts.span_or_never(text))


def count(text: str, option: str, examples: str = COUNTS) -> int:
    """Read a count as `option` takes it; raises `BadParameter`."""
    return _read(option, lambda: amounts.count(text, examples))


def count_or_none(text: str, option: str) -> int | None:
    """Read a count; None for ``none``, which is no limit."""
    return _read(option, lambda: amounts.count_or_none(text))


def _read(option: str, read: Callable[[], Value]) -> Value:
    try:
        return read()
    except InvalidRequest as wrong:
        # Typer writes the option before the text, and no full stop behind it.
        raise typer.BadParameter(wrong.message.removesuffix("."), param_hint=option) from None

"""A struct as a program reads it: all of its fields, those that have their default too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from aiplat.cli import output

if TYPE_CHECKING:
    import msgspec

    Told = TypeVar("Told", bound=msgspec.Struct)


def give(told: Told, words: Callable[[Told], None], *, json: bool) -> None:
    """Print a message, as ``--json`` was said.

    Arguments:
        told: the message.
        words: prints it for a person.
        json: whether a program reads it.
    """
    if json:
        output.print_json(whole(told))
    else:
        words(told)


def whole(value: Any) -> Any:
    """Turn a message into plain objects, lists and values, nothing left out.

    The messages leave defaults out on their way (`omit_defaults`), and so would `print_json`: a
    script could not tell an active key by its `state`.
    """
    import msgspec

    if isinstance(value, msgspec.Struct):
        return {name: whole(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [whole(item) for item in value]
    return value

"""A struct as a program reads it: all of its fields, those that have their default too."""

from __future__ import annotations

from typing import Any


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

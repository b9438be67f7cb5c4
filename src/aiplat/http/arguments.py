"""Arguments of a tool's call as objects, for the APIs that write them so. Ours are JSON text. Pure.

A model may write what is no JSON object. It is told under one name, `INVALID`, as Anthropic has it:
the tool then refuses it in words that the model reads, and may mend.
"""

from __future__ import annotations

import msgspec

from aiplat.domain.errors import InvalidRequest

INVALID = "INVALID_JSON"


def arguments_object(text: str) -> dict[str, object]:
    """A call's arguments as an object; those that were cut, or are none, as text under `INVALID`.

    Arguments:
        text: what the model wrote; nothing stands for no arguments.
    """
    try:
        value = msgspec.json.decode(text.encode() or b"{}")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {INVALID: text}
    return value if isinstance(value, dict) else {INVALID: text}


def arguments_text(value: dict[str, object], path: str) -> str:
    """The JSON text of a call's arguments that came as an object.

    Arguments:
        value: the object.
        path: its place in the request, for errors.

    Raises:
        InvalidRequest: it is nested too deeply.
    """
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:
        raise InvalidRequest(f"{path} is nested too deeply.", param=path) from None

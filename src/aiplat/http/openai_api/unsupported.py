"""The parameters of OpenAI's API that nothing here can honour: refused by name, never ignored.

A value that asks for nothing is accepted, since clients fill in their defaults. What OpenAI's
API does not know is tolerated, as OpenAI does.
Source: the published schema `CreateChatCompletionRequest`.
"""

from __future__ import annotations

from aiplat.domain.errors import UnsupportedParameter
from aiplat.http.reading import Fields, shown

_NEUTRAL: dict[str, tuple[object, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"], []),
    "best_of": (1,),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "web_search_options": (),
    "moderation": (),
    # Of other servers, and of OpenAI's older API: they would change the answer.
    "min_tokens": (0,),
    "ignore_eos": (False,),
    "echo": (False,),
    "suffix": ("",),
    # No parameter of OpenAI's, but who writes it here means the header, and must not be ignored.
    "privacy": ("any",),
}
"""Each with the values that ask for nothing; null always does."""

_MESSAGE_NEUTRAL: dict[str, tuple[object, ...]] = {
    "tool_calls": ([],),
    "tool_call_id": (),
    "function_call": (),
    "audio": (),
    "refusal": (),
}


def refuse_unsupported(fields: Fields) -> None:
    """Raise `UnsupportedParameter` for the first field of a request that is out of reach."""
    _refuse(fields, _NEUTRAL)


def refuse_in_message(fields: Fields) -> None:
    """The same for one message."""
    _refuse(fields, _MESSAGE_NEUTRAL)


def _refuse(fields: Fields, table: dict[str, tuple[object, ...]]) -> None:
    for name, neutral in table.items():
        value = fields.raw(name)
        if value is None or any(type(value) is type(one) and value == one for one in neutral):
            continue
        raise _unsupported(fields, name, "leave it out")


def _unsupported(fields: Fields, name: str, advice: str) -> UnsupportedParameter:
    path = fields.path(name)
    return UnsupportedParameter(
        f"{path} is not supported here (it is {shown(fields.raw(name))}): {advice}.", param=path
    )

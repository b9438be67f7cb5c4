"""The parameters of the Responses API that nothing here can honour: refused by name, never ignored.

A value that asks for nothing is accepted, since clients fill in their defaults. What the API does
not know is tolerated, as OpenAI does, but for what would change the answer elsewhere: parameters
of chat completions that are written here by mistake.
Source: OpenAI's published schema `CreateResponse`.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiplat.domain.errors import InvalidRequest, UnsupportedParameter, clip
from aiplat.http.reading import Fields, shown

LOGPROBS = "message.output_text.logprobs"
_INCLUDABLE = frozenset({
    LOGPROBS, "file_search_call.results", "web_search_call.results",
    "web_search_call.action.sources", "message.input_image.image_url",
    "computer_call_output.output.image_url", "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
})  # fmt: skip
"""What OpenAI adds to items when asked. All but the first are of items that no answer here has."""

_NEUTRAL: dict[str, tuple[object, ...]] = {
    "access_programs": (),
    "background": (False,),
    "background_options": ({},),
    "context_management": ([],),
    "conversation": (),
    "image": ({},),
    "max_tool_calls": (),
    "moderation": (),
    "personality": (),
    "prompt": (),
    "prompt_cache_options": ({},),
    "prompt_cache_retention": ("in_memory",),
    "service_tier": ("auto", "default"),
    "truncation": ("disabled",),
    # No parameter of OpenAI's, but who writes it here means the header, and must not be ignored.
    "privacy": ("any",),
}
"""Each with the values that ask for nothing; null always does."""

_ADVICE = {
    "background": "leave it out, and read the answer as a stream",
    "conversation": "leave it out, and go on from previous_response_id",
    "truncation": "leave it out, and send a shorter conversation",
    "privacy": "leave it out, and send the header x-aiplat-privacy",
}
_REASONING: dict[str, tuple[object, ...]] = {
    "effort": ("none",),
    "summary": (),
    "generate_summary": (),
    "encrypted_content": (),
}
_TOOL: dict[str, tuple[object, ...]] = {
    "allowed_callers": (["direct"],),
    "async": (False,),
    "defer_loading": (False,),
    "output_schema": (),
}
_OF_CHAT = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "functions": "tools",
    "function_call": "tool_choice",
    "logprobs": "include and top_logprobs",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    **dict.fromkeys(
        ("n", "stop", "seed", "logit_bias", "presence_penalty", "frequency_penalty", "top_k",
         "min_p", "repetition_penalty"), "",
    ),
}  # fmt: skip
"""Parameters of chat completions, and what they are called here, if they are."""


def refuse_unsupported(fields: Fields) -> None:
    """Raise for the first field of a request that is out of reach.

    Raises:
        UnsupportedParameter: names it, and what to do instead.
    """
    _only_neutral(fields, _NEUTRAL)
    reasoning = fields.inner("reasoning")
    if reasoning is not None:
        _only_neutral(reasoning, _REASONING)
    for name, here in _OF_CHAT.items():
        if fields.raw(name) is not None:
            raise UnsupportedParameter(
                f"{name} is a parameter of chat completions: "
                f"{f'it is {here} here' if here else 'ask /v1/chat/completions for it'}.",
                param=name,
            )


def refuse_in_tool(tool: Fields) -> None:
    """The same for one function of `tools`."""
    _only_neutral(tool, _TOOL)


def check_verbosity(text: Fields) -> None:
    """Look at the field `verbosity` of `text`: no model here is told one."""
    _only_neutral(text, {"verbosity": ("medium",)})


def wants_logprobs(fields: Fields) -> bool:
    """Read the field `include`: whether log-probabilities are asked for.

    Raises:
        InvalidRequest: it holds what can never be included.
    """
    values = fields.array("include") or []
    check_includable(values, fields.path("include"))
    return LOGPROBS in values


def check_includable(values: Sequence[object], path: str) -> None:
    """Raise `InvalidRequest` where one can never be included.

    What is of items that no answer here has adds nothing, and is taken: clients send it always.
    """
    for place, value in enumerate(values):
        if not isinstance(value, str) or value not in _INCLUDABLE:
            raise InvalidRequest(
                f"{path}[{place}] is {shown(value)}, but can be one of "
                f"{', '.join(sorted(_INCLUDABLE))}.",
                param=f"{path}[{place}]",
            )


def _only_neutral(fields: Fields, table: dict[str, tuple[object, ...]]) -> None:
    for name, neutral in table.items():
        value = fields.raw(name)
        if value is None or any(type(value) is type(one) and value == one for one in neutral):
            continue
        path = fields.path(name)
        advice = _ADVICE.get(name, "leave it out")
        raise UnsupportedParameter(
            f"{path} is not supported here (it is {clip(shown(value))}): {advice}.", param=path
        )

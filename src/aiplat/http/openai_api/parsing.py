"""A chat request of OpenAI's, turned into ours. Knows no socket.

Source: the published schema `CreateChatCompletionRequest`.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from aiplat.domain.chat import Generate
from aiplat.domain.errors import InvalidRequest
from aiplat.http.openai_api.formats import parse_response_format
from aiplat.http.openai_api.messages import parse_messages
from aiplat.http.openai_api.sampling import parse_choices, parse_sampling, parse_stream, seeded
from aiplat.http.openai_api.tolerated import check_labels, parse_metadata
from aiplat.http.openai_api.tools import parse_tooling
from aiplat.http.openai_api.unsupported import refuse_in_chat
from aiplat.http.reading import Fields, parse_object


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, and how the answer is wanted. An empty model takes the first.

    `choices` answers are wanted, each of which is asked for by itself (`works`). `is_old` has a
    call told as `function_call`, as it was before there were tools. `limit_name` is what the field
    was called that says how long the answer may be.
    """

    work: Generate
    choices: int = 1
    model: str
    stream: bool
    include_usage: bool
    is_old: bool = False
    limit_name: str = "max_tokens"

    def works(self) -> list[Generate]:
        """What is asked for each choice: with a seed, the next one for each."""
        work, seed = self.work, self.work.sampling.seed
        if seed is None:
            return [work] * self.choices
        return [
            replace(work, sampling=replace(work.sampling, seed=seeded(seed, place)))
            for place in range(self.choices)
        ]


def parse_chat(body: bytes, most_choices: int = 1) -> ChatRequest:
    """Parse a request to ``/v1/chat/completions`` that asks for at most so many choices.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: names a field that exists, but that nothing here can honour.
    """
    fields = Fields(parse_object(body))
    refuse_in_chat(fields)
    check_labels(fields)
    parse_metadata(fields)
    stream, include_usage = parse_stream(fields)
    messages, tooling = parse_messages(fields), parse_tooling(fields)
    limit = _max_tokens(fields)
    return ChatRequest(
        work=Generate(
            messages,
            parse_sampling(fields, limit, ("top_logprobs", _logprobs(fields))),
            tools=tooling.tools,
            grammar=parse_response_format(fields),
            tool_choice=tooling.choice,
            tool=tooling.tool,
            one_call=tooling.one_call,
        ),
        choices=parse_choices(fields, most_choices),
        model=fields.text("model") or "",
        stream=stream,
        include_usage=include_usage,
        is_old=tooling.is_old,
        limit_name=limit[0],
    )


def _max_tokens(fields: Fields) -> tuple[str, int | None]:
    old, new = fields.integer("max_tokens"), fields.integer("max_completion_tokens")
    if old is not None and new is not None and old != new:
        raise InvalidRequest(
            f"max_tokens is {old} and max_completion_tokens is {new}: send one of them.",
            param="max_tokens",
        )
    if new is not None:
        return "max_completion_tokens", new
    return "max_tokens", old


def _logprobs(fields: Fields) -> int | None:
    wanted, top = fields.flag("logprobs"), fields.integer("top_logprobs")
    if not wanted:
        if top:
            raise InvalidRequest(
                f"top_logprobs is {top}, but is only allowed when logprobs is true.",
                param="top_logprobs",
            )
        return None
    return top or 0

"""A request to the Responses API, parsed. Knows no socket, and nothing of what is stored."""

from __future__ import annotations

from typing import Any

import msgspec

from aiplat.domain.chat import Generate, Sampling, check_sampling
from aiplat.domain.errors import InvalidRequest
from aiplat.http.openai_api.formats import Grammar, parse_format
from aiplat.http.openai_api.naming import as_sent
from aiplat.http.openai_api.responses.conversation import messages_of
from aiplat.http.openai_api.responses.inputs import parse_input
from aiplat.http.openai_api.responses.items import Item
from aiplat.http.openai_api.responses.refused import (
    check_verbosity,
    refuse_unsupported,
    wants_logprobs,
)
from aiplat.http.openai_api.responses.tooling import Chosen, parse_tooling
from aiplat.http.openai_api.sampling import parse_stream
from aiplat.http.openai_api.tolerated import check_labels, parse_metadata
from aiplat.http.reading import Fields, parse_object

NAMES = {
    "max_tokens": "max_output_tokens", "logprobs": "top_logprobs", "messages": "input",
    "response_format": "text.format",
}  # fmt: skip
"""What our fields are called here, for errors of what answers."""
_MAX_ID_CHARS = 256


class ResponseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, and how the answer is wanted. An empty model takes the first.

    Arguments:
        items: of `input`; what `previous` stands for comes before them.
        previous: the answer that it goes on from; empty for none.
        told_text: the field `text`, as the answer tells it.
        labels: `user`, `safety_identifier` and `prompt_cache_key`, as far as they were given.
    """

    model: str
    items: tuple[Item, ...]
    instructions: str | None
    previous: str
    sampling: Sampling
    tooling: Chosen
    parallel: bool
    grammar: Grammar | None
    told_text: dict[str, Any]
    labels: dict[str, str]
    metadata: dict[str, str]
    store: bool
    stream: bool

    def work(self, before: tuple[Item, ...] = (), *, only_count: bool = False) -> Generate:
        """What is asked of a model.

        Arguments:
            before: the items that it goes on from.
            only_count: nothing is generated.

        Raises:
            InvalidRequest: a call, or what came of one, stands alone.
        """
        tooling, sampling = self.tooling, self.sampling
        if only_count:
            sampling = Sampling(max_tokens=1)
        return Generate(
            messages=messages_of((*before, *self.items), self.instructions or ""),
            sampling=sampling,
            tools=tooling.tools,
            grammar=self.grammar,
            tool_choice=tooling.choice,
            tool=tooling.tool,
            one_call=bool(tooling.tools) and not self.parallel,
            only_count=only_count,
        )


def parse_request(body: bytes, request: str) -> ResponseRequest:
    """Parse a request to ``/v1/responses``.

    Arguments:
        request: its id, which names what comes without a name.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: names a field that exists, but that nothing here can honour.
    """
    fields = Fields(parse_object(body))
    refuse_unsupported(fields)
    check_labels(fields)
    grammar, told_text = _text(fields)
    items, previous = parse_input(fields, request), _previous(fields)
    instructions = fields.text("instructions")
    if not items and not previous:
        raise InvalidRequest(
            "input is missing: send a string, or an array of at least one item.", param="input"
        )
    names = ("user", "safety_identifier", "prompt_cache_key")
    return ResponseRequest(
        model=fields.text("model") or "",
        items=items,
        instructions=instructions,
        previous=previous,
        sampling=_sampling(fields),
        tooling=parse_tooling(fields),
        parallel=fields.flag("parallel_tool_calls") is not False,
        grammar=grammar,
        told_text=told_text,
        labels={name: text for name in names if (text := fields.text(name)) is not None},
        metadata=parse_metadata(fields),
        store=fields.flag("store") is not False,
        stream=parse_stream(fields)[0],
    )


def _previous(fields: Fields) -> str:
    previous = fields.text("previous_response_id")
    if previous is None:
        return ""
    if not 1 <= len(previous) <= _MAX_ID_CHARS:
        raise fields.wrong("previous_response_id", "the id of an answer, such as 'resp_…'")
    return previous


def _sampling(fields: Fields) -> Sampling:
    top, wanted = fields.integer("top_logprobs"), wants_logprobs(fields)
    if top and not wanted:
        raise InvalidRequest(
            f"top_logprobs is {top}, but is only allowed when include holds "
            "'message.output_text.logprobs'.",
            param="top_logprobs",
        )
    sampling = Sampling(
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        max_tokens=fields.integer("max_output_tokens"),
        logprobs=(top or 0) if wanted else None,
    )
    with as_sent(NAMES):
        check_sampling(sampling)
    return sampling


def _text(fields: Fields) -> tuple[Grammar | None, dict[str, Any]]:
    """The form that is asked for, and the field as it is told again."""
    text = fields.inner("text")
    wanted = None
    if text is not None:
        check_verbosity(text)
        wanted = text.inner("format")
    if wanted is None:
        return None, {"format": {"type": "text"}, "verbosity": "medium"}
    grammar, told = parse_format(wanted), {"type": wanted.raw("type")}
    if told["type"] == "json_schema":
        strict = bool(wanted.flag("strict"))
        told |= {name: wanted.raw(name) for name in ("name", "schema")} | {"strict": strict}
        if wanted.raw("description") is not None:
            told["description"] = wanted.raw("description")
    return grammar, {"format": told, "verbosity": "medium"}

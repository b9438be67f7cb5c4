"""Any JSON at all in the fields of the Responses API: it is taken, or refused in words."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.chat import check_generate
from aiplat.domain.errors import AiplatError
from aiplat.http.openai_api.responses.items import items_in
from aiplat.http.openai_api.responses.parsing import parse_request
from aiplat.http.openai_api.responses.shapes import begun
from tests.unit.http.responses.helpers import NOW, REQUEST, exact_response

FIELDS = (
    "include", "input", "instructions", "max_output_tokens", "metadata", "model",
    "parallel_tool_calls", "previous_response_id", "prompt", "reasoning", "store", "stream",
    "stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p",
    "truncation", "user",
)  # fmt: skip
WORDS = st.sampled_from([
    "message", "function", "function_call", "function_call_output", "user", "assistant", "system",
    "input_text", "output_text", "refusal", "text", "json_schema", "json_object", "auto", "none",
    "required", "allowed_tools", "c1", "look", "message.output_text.logprobs", "medium", "{}", "",
])  # fmt: skip
NAMES = st.sampled_from([
    "type", "role", "content", "text", "format", "name", "schema", "call_id", "arguments",
    "output", "refusal", "id", "mode", "tools", "parameters", "strict", "effort", "verbosity",
])  # fmt: skip
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 30) | st.floats(allow_nan=False,
                                                               allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), ANY, max_size=5), ANY)
def test_any_request_is_taken_or_refused_in_words(fields: dict[str, Any], asked: Any) -> None:
    body = msgspec.json.encode({"input": asked} | fields)
    try:
        request = parse_request(body, REQUEST)
        check_generate(request.work())
    except AiplatError:
        return
    told = exact_response(msgspec.json.encode(begun(request, REQUEST, NOW)))
    assert told["status"] == "in_progress"
    assert items_in(msgspec.json.encode(request.items)) == request.items

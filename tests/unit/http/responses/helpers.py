"""What the tests of the Responses API have in common: scripted answers, and exact looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from aiplat.domain.answers import AnswerEvent
from aiplat.http.openai_api.responses.answering import Answering
from aiplat.http.openai_api.responses.parsing import parse_request
from aiplat.http.openai_api.responses.shapes import Response as OurResponse
from aiplat.http.openai_api.responses.shapes import begun
from aiplat.http.openai_api.responses.stream import ResponseStream

REQUEST = "req-0123456789abcdef01234567"
RESPONSE = "resp_0123456789abcdef01234567"
NOW = 1_800_000_000
MORE = {
    "ResponseFunctionCallArgumentsDoneEvent": {"name"},
    "Response": {"store"},
    "Logprob": {"bytes"},
    "LogprobTopLogprob": {"bytes"},
}
"""Fields that this client's types lack, and others of OpenAI's clients have."""

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


class Streamed:
    """A stream that was fed with batches, and what it wrote and kept."""

    def __init__(self, **asked: Any) -> None:
        self.kept: list[OurResponse] = []
        request = parse_request(msgspec.json.encode({"input": "hi", "model": "m"} | asked), REQUEST)
        self.answering = Answering(begun(request, REQUEST, NOW), REQUEST, lambda: NOW + 5.5)
        self.stream = ResponseStream(self.answering, self.kept.append, self.kept.append)
        self.data = b""

    def feed(self, *batches: Sequence[AnswerEvent]) -> Streamed:
        """Feed it, a batch after another."""
        for batch in batches:
            self.data += self.stream.feed(batch)
        return self

    @property
    def events(self) -> list[dict[str, Any]]:
        """What was written, each event looked at exactly."""
        return exact_events(self.data)

    @property
    def types(self) -> list[str]:
        """Their types, without what all have in common."""
        return [event["type"].removeprefix("response.") for event in self.events]


def exact_events(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream: in the form of SSE, of the client's types, and well numbered."""
    blocks = [block for block in data.split(b"\n\n") if block and not block.startswith(b":")]
    found = []
    for place, block in enumerate(blocks):
        name, text = block.split(b"\n")
        assert text.startswith(b"data: ")
        event = msgspec.json.decode(text[6:])
        assert name == b"event: " + event["type"].encode()
        assert event["sequence_number"] == place
        no_more(_EVENT.validate_json(text[6:], strict=True))
        found.append(event)
    return found


def exact_response(data: bytes) -> dict[str, Any]:
    """An answer's object, looked at exactly."""
    no_more(Response.model_validate_json(data, strict=True))
    return dict(msgspec.json.decode(data))


def no_more(model: object) -> None:
    """See that nothing is there which the client's types do not know."""
    if isinstance(model, BaseModel):
        extra = set(model.model_extra or {}) - MORE.get(type(model).__name__, set())
        assert not extra, f"{type(model).__name__} has {extra}"
        for name in type(model).model_fields:
            no_more(getattr(model, name))
    elif isinstance(model, list | tuple):
        for one in model:
            no_more(one)

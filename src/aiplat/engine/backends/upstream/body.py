"""A request of ours as the body that an upstream is sent, and what no upstream is asked for. Pure.

Sources: OpenAI's `CreateChatCompletionRequest`; the documentations of vLLM and SGLang (extra
parameters), of llama.cpp's server (``repeat_penalty``) and of Ollama ("OpenAI compatibility").
"""

from __future__ import annotations

from typing import Any

import msgspec

from aiplat.domain.answers import Submission
from aiplat.domain.chat import Embed, Generate, Message, Sampling
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter
from aiplat.engine.calling.asked import is_strict, must_call

OLLAMA, LLAMA_CPP = "ollama", "llama.cpp"
"""Kinds of servers that need words of their own; any other speaks OpenAI's."""

_IGNORED_BY_OLLAMA = ("top_k", "min_p", "repetition_penalty", "logit_bias")
"""Its OpenAI API passes over them in silence; what is not honoured is refused instead."""

_NEUTRAL: dict[str, tuple[object, ...]] = {
    "top_k": (0,), "min_p": (0.0,), "repetition_penalty": (1.0,), "logit_bias": ({},),
}  # fmt: skip
_AS_THEY_ARE = (
    "temperature", "top_p", "max_tokens", "seed", "presence_penalty", "frequency_penalty",
    "logit_bias", "top_k", "min_p", "repetition_penalty",
)  # fmt: skip
_TOKEN_CHARS = 64
"""Room for the text of one token, in units of four credits."""


def accepted(submission: Submission, kind: str) -> Generate:
    """The work of `submission`, when an upstream of that kind can do all that it asks for.

    Raises:
        UnsupportedParameter: names the first thing that it cannot.
        InvalidRequest: its window is too small for the log-probabilities of one token.
    """
    work = submission.work
    if isinstance(work, Embed):
        raise _unsupported("input", "This model makes no embeddings here")
    if work.only_count:
        raise UnsupportedParameter(
            "An upstream counts no prompt without answering it: ask a model that runs here.",
            param="messages",
        )
    if work.prompt is not None:
        _check_prompt(work)
    if work.sampling.n != 1:
        raise _unsupported("n", f"One answer is given to a request, and n is {work.sampling.n}")
    if submission.resume is not None:
        # Elsewhere it may go on: whoever has the model itself can.
        raise UnsupportedParameter(
            "An upstream takes no token ids, so it cannot go on with an answer that began "
            "elsewhere: ask anew.",
            param="resume",
            recoverable=True,
        )
    if kind == OLLAMA:
        for name in _IGNORED_BY_OLLAMA:
            if getattr(work.sampling, name) not in (None, *_NEUTRAL[name]):
                raise _unsupported(name, f"Ollama's OpenAI API does not honour {name}")
        if must_call(work):
            raise _unsupported("tool_choice", "Ollama's OpenAI API leaves it to the model to call")
        if is_strict(work):
            raise UnsupportedParameter(
                "Ollama's OpenAI API leaves the arguments of a call to the model: leave strict out "
                "of the tools.",
                param="tools",
                recoverable=True,  # another processor may have the model itself
            )
    _check_window(submission, work.sampling)
    return work


def _check_prompt(work: Generate) -> None:
    """A prompt without a template goes to the older API, which has less."""
    if work.sampling.logprobs is not None:
        raise _unsupported("logprobs", "An upstream gives no log-probabilities with a bare prompt")
    if work.grammar is not None:
        raise _unsupported("response_format", "An upstream keeps to no form after a bare prompt")


def _unsupported(name: str, why: str) -> UnsupportedParameter:
    return UnsupportedParameter(f"{why}: leave it out.", param=name)


def _check_window(submission: Submission, sampling: Sampling) -> None:
    if sampling.logprobs is None:
        return
    needed = 64 * (1 + sampling.logprobs) + 4 * _TOKEN_CHARS
    if submission.credit < needed:
        raise InvalidRequest(
            f"credit is {submission.credit}, but one token with {sampling.logprobs} "
            f"log-probabilities beside its own takes {needed}.",
            param="logprobs",
        )


class Dialect(msgspec.Struct, frozen=True):
    """What differs between servers and shows only when one refuses it.

    Arguments:
        wants_usage: whether ``stream_options`` is sent.
        limit: what the longest answer is called; OpenAI's own newer models refuse the old name.
    """

    wants_usage: bool = True
    limit: str = "max_tokens"

    def after(self, status: int, body: bytes) -> Dialect | None:
        """The dialect that a refusal asks for; None when it is about something else."""
        if status not in (400, 422):
            return None
        if self.wants_usage and b"stream_options" in body:
            return msgspec.structs.replace(self, wants_usage=False)
        if self.limit == "max_tokens" and b"max_completion_tokens" in body:
            return msgspec.structs.replace(self, limit="max_completion_tokens")
        return None


def request_body(model: str, work: Generate, kind: str, dialect: Dialect) -> bytes:
    """The JSON of a streamed chat completion; of a completion where there is a bare prompt.

    Arguments:
        model: as the upstream calls it.
        kind: of the upstream.
    """
    sampling = work.sampling
    body: dict[str, Any] = {"model": model, "stream": True}
    if work.prompt is None:
        body["messages"] = [_message(message) for message in work.messages]
    else:
        body["prompt"] = work.prompt
    if dialect.wants_usage:
        body["stream_options"] = {"include_usage": True}
    for name in _AS_THEY_ARE:
        value = getattr(sampling, name)
        # A server that lacks a parameter refuses it: none is sent that asks for nothing.
        if value is not None and value not in _NEUTRAL.get(name, ()):
            body[name] = value
    if "max_tokens" in body and work.prompt is None:
        body[dialect.limit] = body.pop("max_tokens")
    if kind == LLAMA_CPP and "repetition_penalty" in body:
        body["repeat_penalty"] = body.pop("repetition_penalty")
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": sampling.logprobs}
    return msgspec.json.encode(body | _tools(work) | _form(work))


def _message(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        told["tool_calls"] = [
            {"id": call.id, "type": "function",
             "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]  # fmt: skip
    if message.call_id:
        told["tool_call_id"] = message.call_id
    if message.name and message.role != "tool":  # which OpenAI's tool messages have not
        told["name"] = message.name
    return told


def _tools(work: Generate) -> dict[str, Any]:
    if not work.tools or work.tool_choice == "none":
        return {}
    told: dict[str, Any] = {"tools": [{"type": "function", "function": t} for t in work.tools]}
    if work.tool:
        told["tool_choice"] = {"type": "function", "function": {"name": work.tool}}
    elif work.tool_choice == "required":
        told["tool_choice"] = "required"
    if work.one_call:
        told["parallel_tool_calls"] = False
    return told


def _form(work: Generate) -> dict[str, Any]:
    if work.grammar is None:
        return {}
    if work.grammar.get("type") != "json_schema":
        return {"response_format": {"type": "json_object"}}
    schema = {"name": "answer", "schema": work.grammar.get("schema"), "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}

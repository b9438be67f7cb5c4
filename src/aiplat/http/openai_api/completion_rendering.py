"""OpenAI's shape of completions, which a whole answer and the chunks of a stream share. Pure.

Source: the published schema `CreateCompletionResponse`.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from aiplat.domain.answers import Delta, Finished, TokenLogprob
from aiplat.domain.usage import Usage
from aiplat.http.openai_api.completion_parsing import CompletionRequest
from aiplat.http.openai_api.rendering import CompletionUsage, fingerprint, finite, usage_of
from aiplat.http.said import Said, refuse_cancelled, together

OBJECT: Literal["text_completion"] = "text_completion"


class TextLogprobs(msgspec.Struct, frozen=True):
    """Of each token: its text, where it begins in the answer's (in characters), and the likeliest.

    A part of a character has its bytes as text, behind ``bytes:``, as OpenAI writes them.
    """

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(msgspec.Struct, frozen=True):
    """A choice of an answer, or more of one in a stream, where the reason comes last."""

    text: str
    finish_reason: Literal["stop", "length"] | None
    logprobs: TextLogprobs | None = None
    index: int = 0


class TextCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer."""

    id: str
    object: Literal["text_completion"] = OBJECT
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[TextChoice]
    usage: CompletionUsage


class LogprobWriter:
    """Tells of one choice's tokens, and keeps where in its text the next one begins."""

    def __init__(self) -> None:
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, deltas: Iterable[Delta]) -> TextLogprobs | None:
        """Of the tokens of some deltas; None where none were asked for."""
        told = [delta.logprobs for delta in deltas if delta.logprobs is not None]
        if not told:
            return None
        found = TextLogprobs([], [], [], [])
        for logprobs in told:
            for place, token in enumerate(logprobs.tokens):
                if token.text:  # the one that ends the answer has none
                    top = logprobs.top[place] if place < len(logprobs.top) else ()
                    self._add(found, token, top)
        return found

    def _add(self, found: TextLogprobs, token: TokenLogprob, top: Sequence[TokenLogprob]) -> None:
        found.tokens.append(_text(token))
        found.token_logprobs.append(finite(token.logprob))
        found.top_logprobs.append({_text(one): finite(one.logprob) for one in (*top, token)})
        found.text_offset.append(self._offset)
        raw = token.raw or token.text.encode("utf-8", "replace")
        self._offset += len(self._decoder.decode(raw))


def _text(token: TokenLogprob) -> str:
    if not token.raw:
        return token.text
    try:
        return token.raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join([f"\\x{byte:02x}" for byte in token.raw])


def text_id(request_id: str) -> str:
    """The answer's id: the request's, behind OpenAI's prefix."""
    return f"cmpl-{request_id.removeprefix('req-')}"


def text_reason(finished: Finished) -> Literal["stop", "length"]:
    """Why it ended; no tool is called where there are none.

    Raises:
        ShuttingDown: it was cancelled, and not by its reader, who would not ask.
    """
    refuse_cancelled(finished)
    return "length" if finished.reason == "length" else "stop"


def sum_of(usages: Sequence[Usage], each: int) -> Usage:
    """What the choices came to, of which so many have one prompt: every prompt counts once."""
    groups = [together(usages[at : at + each]) for at in range(0, len(usages), each)]
    return Usage(
        sum(usage.prompt_tokens for usage in groups),
        sum(usage.completion_tokens for usage in groups),
        sum(usage.cached_tokens for usage in groups),
        all(usage.exact for usage in groups),
    )


def text_body(
    request_id: str, asked: CompletionRequest, created: int, said: Sequence[Said]
) -> bytes:
    """The JSON of a whole answer.

    Arguments:
        request_id: names it.
        asked: for it.
        created: Unix time, in seconds.
        said: its choices, all complete.
    """
    started = said[-1].started
    return msgspec.json.encode(
        TextCompletion(
            id=text_id(request_id),
            created=created,
            model=started.manifest.name if started else asked.model,
            system_fingerprint=fingerprint(started) if started else None,
            choices=[_choice(one, index, asked) for index, one in enumerate(said)],
            usage=usage_of(sum_of([one.end.usage for one in said], asked.each)),
        )
    )


def _choice(said: Said, index: int, asked: CompletionRequest) -> TextChoice:
    text = asked.prompt_of(index) + said.text if asked.echo else said.text
    return TextChoice(text, text_reason(said.end), LogprobWriter().feed(said.deltas), index)


class TextShape:
    """What completions write of their choices in a stream (`Shape`).

    Arguments:
        request_id: names the stream.
        asked: for it.
    """

    def __init__(self, request_id: str, asked: CompletionRequest) -> None:
        self.id = text_id(request_id)
        self.object: str = OBJECT
        self._asked = asked
        self._echoed: set[int] = set()
        self._logprobs: dict[int, LogprobWriter] = {}

    def said(self, deltas: Sequence[Delta], index: int) -> list[msgspec.Struct]:
        """Of what the choice `index` said, its prompt before it where that is wanted."""
        text = "".join([delta.text for delta in deltas])
        logprobs = self._logprobs.setdefault(index, LogprobWriter()).feed(deltas)
        if not text and logprobs is None:
            return []
        return [TextChoice(self._echo(index) + text, None, logprobs, index)]

    def ended(self, finished: Finished, index: int) -> list[msgspec.Struct]:
        """Of its end: no more text, and the reason."""
        return [TextChoice(self._echo(index), text_reason(finished), None, index)]

    def _echo(self, index: int) -> str:
        if not self._asked.echo or index in self._echoed:
            return ""
        self._echoed.add(index)
        return self._asked.prompt_of(index)

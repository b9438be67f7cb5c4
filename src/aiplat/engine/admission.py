"""What can be told of a request before any work: what is not honoured, and what does not fit."""

from __future__ import annotations

from aiplat.domain.answers import Submission
from aiplat.domain.chat import Embed, Generate
from aiplat.domain.errors import ContextLengthExceeded, UnsupportedParameter


def generation_of(submission: Submission) -> Generate:
    """The work of `submission`, when an engine of ours can do all that it asks for.

    Raises:
        UnsupportedParameter: names the first thing that it cannot.
    """
    work = submission.work
    if isinstance(work, Embed):
        raise UnsupportedParameter(
            "This model makes no embeddings: ask it for a chat completion.", param="input"
        )
    if work.sampling.n != 1:
        raise UnsupportedParameter(
            f"n is {work.sampling.n}, but an engine gives one answer to a request: ask once for "
            "each.",
            param="n",
        )
    return work


def plain_generation_of(submission: Submission, model: str) -> Generate:
    """The work of `submission`, when a model that writes text of no form can do it.

    Raises:
        UnsupportedParameter: names the first thing that it cannot.
    """
    work = generation_of(submission)
    if work.tools and work.tool_choice != "none":
        raise UnsupportedParameter(f"{model} calls no tools: leave them out.", param="tools")
    if work.grammar is not None:
        raise UnsupportedParameter(
            f"{model} keeps to no form: leave response_format out.", param="response_format"
        )
    return work


def answer_limit(
    prompt: int, max_tokens: int | None, context: int, default: int, capacity: int | None = None
) -> int:
    """How many tokens the answer may have.

    Arguments:
        prompt: tokens of the prompt.
        max_tokens: what the request asks for; None takes `default`, or what fits.
        context: tokens that prompt and answer may have together in this model.
        capacity: of those, what the engine's cache holds for one request; None for any number.

    Raises:
        ContextLengthExceeded: they do not fit, with the numbers.
    """
    asked = 1 if max_tokens is None else max_tokens
    if prompt + asked > context:
        raise ContextLengthExceeded.of(prompt, max_tokens or 0, context)
    if capacity is not None and prompt + asked > capacity:
        raise ContextLengthExceeded.of_cache(prompt, asked, capacity)
    if max_tokens is not None:
        return max_tokens
    room = context if capacity is None else min(context, capacity)
    return min(default, room - prompt)

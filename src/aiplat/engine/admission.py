"""What can be told of a request before any work: what is not honoured, and what does not fit."""

from __future__ import annotations

from aiplat.domain.answers import Submission
from aiplat.domain.chat import Embed, Generate, Sampling
from aiplat.domain.errors import ContextLengthExceeded, UnsupportedParameter

_NEUTRAL: dict[str, tuple[object, ...]] = {
    "top_k": (None, 0),
    "min_p": (None, 0.0),
    "repetition_penalty": (None, 1.0),
    "presence_penalty": (None, 0.0),
    "frequency_penalty": (None, 0.0),
    "logit_bias": (None, {}),
    "logprobs": (None,),
    "n": (1,),
}
"""Parameters that no engine of ours honours yet, with the values that ask for nothing."""


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
    if work.tools:
        raise _unsupported("tools")
    if work.grammar is not None:
        raise _unsupported("response_format")
    _check_parameters(work.sampling)
    return work


def _check_parameters(sampling: Sampling) -> None:
    for name, neutral in _NEUTRAL.items():
        if getattr(sampling, name) not in neutral:
            raise _unsupported(name)


def _unsupported(name: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"This model's engine does not honour {name} yet: leave it out.", param=name
    )


def answer_limit(prompt: int, max_tokens: int | None, context: int, default: int) -> int:
    """How many tokens the answer may have.

    Arguments:
        prompt: tokens of the prompt.
        max_tokens: what the request asks for; None takes `default`, or what fits.
        context: tokens that prompt and answer may have together.

    Raises:
        ContextLengthExceeded: they do not fit, with the numbers.
    """
    if prompt >= context or (max_tokens is not None and prompt + max_tokens > context):
        raise ContextLengthExceeded.of(prompt, max_tokens or 0, context)
    return min(default, context - prompt) if max_tokens is None else max_tokens

"""What is asked of a model: messages and how to sample, with the bounds of each."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from aiplat.domain.errors import InvalidRequest

Speaker = Literal["system", "user", "assistant", "tool"]

MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_MESSAGES = 4096
MAX_BIASES = 1024


class Message(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One message of a conversation. `content` is plain text, never markup."""

    role: Speaker
    content: str


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How the next token is chosen, and when to stop.

    What is None is left to the model's own defaults (its catalogue entry or generation
    config); an engine refuses by name what it cannot honour.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: int | None = None
    n: int = 1


_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "max_tokens": (1, 1_000_000),
    "seed": (-(2**63), 2**63 - 1),
    "top_k": (0, 1_000_000),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 10),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "logprobs": (0, 20),
    "n": (1, 128),
}


def check_sampling(sampling: Sampling) -> None:
    """Raise `InvalidRequest` for the first value out of its bounds, with both."""
    for name, (low, high) in _BOUNDS.items():
        value = getattr(sampling, name)
        if value is not None and not low <= value <= high:  # also refuses NaN
            raise InvalidRequest(
                f"{name} must be from {low} to {high}, but is {value!r}.", param=name
            )
    if len(sampling.stop) > MAX_STOPS:
        raise InvalidRequest(
            f"stop may hold at most {MAX_STOPS} strings, but holds {len(sampling.stop)}.",
            param="stop",
        )
    for text in sampling.stop:
        if not 1 <= len(text) <= MAX_STOP_CHARS:
            raise InvalidRequest(
                f"A stop string must have 1 to {MAX_STOP_CHARS} characters, but one has "
                f"{len(text)}.",
                param="stop",
            )


def check_messages(messages: tuple[Message, ...]) -> None:
    """Raise `InvalidRequest` when there is nothing to answer, or too much."""
    if not messages:
        raise InvalidRequest("messages is empty: send at least one message.", param="messages")
    if len(messages) > MAX_MESSAGES:
        raise InvalidRequest(
            f"messages holds {len(messages)} messages, but at most {MAX_MESSAGES} are taken.",
            param="messages",
        )


class Generate(msgspec.Struct, frozen=True, omit_defaults=True, tag="generate"):
    """Continue a conversation. `tools` and `grammar` are as the OpenAI API has them (JSON)."""

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    tools: tuple[dict[str, Any], ...] = ()
    grammar: dict[str, Any] | None = None


class Embed(msgspec.Struct, frozen=True, omit_defaults=True, tag="embed"):
    """Turn texts into vectors."""

    inputs: tuple[str, ...]

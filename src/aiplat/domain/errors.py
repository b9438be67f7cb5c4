"""Everything that can go wrong in a way that a person or a peer is told about.

One root, a leaf for each kind of failure, each with what a caller needs to act on it.
Leaves become text in exactly three places: the HTTP doors, the wire and the terminal.
On the wire a leaf travels as `code`, `message` and the fields below; `from_code` makes it again.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import ClassVar


class AiplatError(Exception):
    """The root. `message` is one sentence (or two) that says what was wrong and what to do.

    Arguments:
        message: what a person reads; it holds the value and the bound, never a secret or a prompt.
        param: the request's field that is at fault, if it is one.
        retry_after: seconds after which another try makes sense; None if it does not by itself.
        recoverable: whether the same request may succeed elsewhere; None takes the leaf's own.
    """

    code: ClassVar[str] = "internal"
    recoverable: bool = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        recoverable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        if recoverable is not None:
            self.recoverable = recoverable


class InvalidRequest(AiplatError):
    """The request itself is wrong; the same one fails everywhere."""

    code = "invalid_request"


class UnsupportedParameter(AiplatError):
    """A parameter that exists, but that what serves the request cannot honour."""

    code = "unsupported_parameter"


class RequestTooLarge(AiplatError):
    """A body or frame over its bound."""

    code = "request_too_large"


class ContextLengthExceeded(AiplatError):
    """Prompt and answer together do not fit the model's context."""

    code = "context_length_exceeded"

    @classmethod
    def of(cls, prompt: int, answer: int, context: int) -> ContextLengthExceeded:
        """Say both numbers, all in tokens; `answer` is `max_tokens`, or 0 when it was not given."""
        if prompt >= context:
            text = f"The prompt has {prompt} tokens, but the model's context holds {context}."
            return cls(f"{text} Send a shorter prompt.", param="messages")
        text = (
            f"The prompt has {prompt} tokens and max_tokens asks for {answer}: together "
            f"{prompt + answer}, but the model's context holds {context}."
        )
        return cls(f"{text} Set max_tokens to at most {context - prompt}.", param="max_tokens")

    @classmethod
    def of_cache(cls, prompt: int, answer: int, capacity: int) -> ContextLengthExceeded:
        """The same for the processor's memory; `answer` is the longest that was asked for.

        Another processor may have more of it.
        """
        text = f"The prompt has {prompt} tokens"
        if prompt >= capacity:
            text = f"{text}, but the cache of this processor's model holds {capacity}."
            return cls(f"{text} Send a shorter prompt.", param="messages", recoverable=True)
        text = (
            f"{text} and max_tokens asks for {answer}: together {prompt + answer}, but the cache "
            f"of this processor's model holds {capacity}."
        )
        return cls(
            f"{text} Set max_tokens to at most {capacity - prompt}.", param="max_tokens",
            recoverable=True,
        )  # fmt: skip


class ModelNotFound(AiplatError):
    """No such model here; says which names are near."""

    code = "model_not_found"

    @classmethod
    def of(cls, name: str, known: Iterable[str], *, where: str = "here") -> ModelNotFound:
        """Name the nearest of `known`, or all of a few, or say that there are none."""
        names = sorted(set(known))
        if not names:
            hint = 'No model is offered at all: start a processor, "aiplat serve --model NAME".'
        else:
            near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.4)
            hint = f"Did you mean {', '.join(near)}?" if near else f"Known: {', '.join(names[:5])}."
        return cls(f"There is no model {clip(name)!r} {where}. {hint}", param="model")


class InvalidApiKey(AiplatError):
    """No key, or one that is not valid here."""

    code = "invalid_api_key"


class PermissionDenied(AiplatError):
    """Known, but not allowed."""

    code = "permission_denied"


class NotAMember(AiplatError):
    """The node or the peer is not in the network, or not as what it wants to be."""

    code = "not_a_member"


class UserDisabled(AiplatError):
    """The account is disabled, or was while its request ran."""

    code = "user_disabled"


class RateLimited(AiplatError):
    """A limit was hit; `retry_after` says when to come back."""

    code = "rate_limit_exceeded"


class QuotaExceeded(AiplatError):
    """What an account may take in its month is used; `retry_after` says when the next begins."""

    code = "insufficient_quota"


class Overloaded(AiplatError):
    """A bound of the node's own was hit (a full queue); come back after `retry_after` seconds."""

    code = "overloaded"
    recoverable = True


class NoProcessor(AiplatError):
    """No live processor can take the request."""

    code = "no_processor"
    recoverable = True


class NoPeer(AiplatError):
    """A peer could not be reached, or is not what was expected."""

    code = "no_peer"


class ProcessorLost(AiplatError):
    """The processor of a running request died, fell silent, or broke the protocol."""

    code = "processor_lost"
    recoverable = True


class GatewayLost(AiplatError):
    """The gateway of a running request died, fell silent, or broke the protocol."""

    code = "gateway_lost"
    recoverable = True


class EngineFailed(AiplatError):
    """The engine's process died, hung, or could not run this request."""

    code = "engine_failed"
    recoverable = True


class DeadlineExceeded(AiplatError):
    """A deadline passed; the message names the stage and the seconds."""

    code = "deadline_exceeded"


class ShuttingDown(AiplatError):
    """The node drains and takes no new work."""

    code = "shutting_down"
    recoverable = True


class NotReady(AiplatError):
    """A part of the node that is needed is not there (yet)."""

    code = "not_ready"


class ConfigError(AiplatError):
    """A setting, file or folder of this installation is wrong; names the place and the mend."""

    code = "config_error"


LEAVES: dict[str, type[AiplatError]] = {
    leaf.code: leaf
    for leaf in (
        AiplatError, InvalidRequest, UnsupportedParameter, RequestTooLarge, ContextLengthExceeded,
        ModelNotFound, InvalidApiKey, PermissionDenied, NotAMember, UserDisabled, RateLimited,
        QuotaExceeded, Overloaded,
        NoProcessor, NoPeer, ProcessorLost, GatewayLost, EngineFailed, DeadlineExceeded,
        ShuttingDown, NotReady, ConfigError,
    )
}  # fmt: skip


def from_code(
    code: str,
    message: str,
    *,
    param: str | None = None,
    retry_after: float | None = None,
    recoverable: bool = False,
) -> AiplatError:
    """Make the leaf again that a peer or the control API told of; an unknown code is the root."""
    leaf = LEAVES.get(code, AiplatError)
    return leaf(message, param=param, retry_after=retry_after, recoverable=recoverable)


_SECRET = re.compile(r"(sk|ses|inv)-aip-\w[\w-]*", re.IGNORECASE)
_LONGEST_SECRET = 128


def clip(text: str, limit: int = 80) -> str:
    """Cut what a stranger sent to what a sentence can hold, and drop its control characters.

    A key, session or invitation that was pasted where a name belongs is not told again.
    """
    shown = _SECRET.sub(r"\1-aip-…", text[: limit + _LONGEST_SECRET])
    plain = "".join(c if c.isprintable() else "·" for c in shown[: limit + 1])
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"

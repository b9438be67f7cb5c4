"""A request as it falls through the house, and what rises the same way.

The same structs stand on the wire, in the engine's pipes and in the control API's events, so
that no hop translates. Their fields are append-only, each new one with a default: a peer with
a newer minor version is understood, an older one too.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from aiplat.domain.chat import Embed, Generate, check_embed, check_generate
from aiplat.domain.errors import AiplatError, InvalidRequest, from_code
from aiplat.domain.ids import Role, is_request_id
from aiplat.domain.models import Ability, Manifest
from aiplat.domain.usage import Timings, Usage

DEFAULT_CREDIT = 16 * 1024
LEAST_CREDIT = 8
"""A window that holds no two tokens or characters, and is granted anew by halves, never moves."""
MAX_PIECE_CHARS = 64
"""Of a piece of a call (`CallPiece.chars`): it travels whole."""
MAX_LOGPROB_CHARS = 64
"""Of a token's text beside its logprob; longer ones, runs of spaces, are cut."""
_LOGPROB_COST = 64
_CALL_COST = 16
MAX_DEADLINE_MS = 24 * 3600 * 1000
MAX_TAG_CHARS = 128

Privacy = Literal["any", "network", "machine"]
"""Who may read a prompt: anyone, certified members of the network alone, this machine alone."""


class Resume(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens already said elsewhere: the answer goes on after them."""

    ids: tuple[int, ...]


class Submission(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One request, whole.

    Arguments:
        id: its name on every hop (`RequestId`).
        to: the role that shall serve it. A gateway places; a processor runs.
        work: what is asked.
        model: name of the model; empty takes the gateway's first that is ready.
        deadline_ms: milliseconds left, never a time of day; each hop starts its own clock.
        credit: how much the asker will take before it says more, in units of `Delta.cost`.
        credential: an API key; never logged.
        resume: tokens already said, when an answer moves to another processor.
        privacy: who may read the prompt (`Privacy`).
        fairness: from a gateway to a processor: an HMAC of the user, in hexadecimal.
        beside: another choice of the same request, of which the prompt is the same: a gateway that
            knows that one counts the prompt once.
    """

    id: str
    to: Role
    work: Generate | Embed
    model: str = ""
    deadline_ms: int = 600_000
    credit: int = DEFAULT_CREDIT
    credential: str = ""
    resume: Resume | None = None
    privacy: Privacy = "any"
    fairness: str = ""
    beside: str = ""

    @property
    def needs(self) -> Ability:
        """What a model must do to serve it at all."""
        return "embed" if isinstance(self.work, Embed) else "generate"

    def __repr__(self) -> str:
        """Name it without its prompt or its key: a repr ends up in logs."""
        return f"Submission({self.id!r}, to={self.to!r}, model={self.model!r})"


def check_submission(submission: Submission) -> None:
    """Raise `InvalidRequest` for what no engine would take; every door and gateway calls it."""
    if not is_request_id(submission.id):
        raise InvalidRequest("The request's id must be 'req-' and 24 hexadecimal digits.")
    if not 1 <= submission.deadline_ms <= MAX_DEADLINE_MS:
        raise InvalidRequest(
            f"deadline_ms must be from 1 to {MAX_DEADLINE_MS}, but is {submission.deadline_ms}."
        )
    if submission.credit < LEAST_CREDIT:
        raise InvalidRequest(
            f"credit must be at least {LEAST_CREDIT} (two tokens), but is {submission.credit}: no "
            "answer could move."
        )
    _check_credit_for_logprobs(submission)
    _check_credit_for_calls(submission)
    if len(submission.fairness) > MAX_TAG_CHARS:
        raise InvalidRequest(
            f"A fairness tag has at most {MAX_TAG_CHARS} characters, this one "
            f"{len(submission.fairness)}."
        )
    if submission.beside and not is_request_id(submission.beside):
        raise InvalidRequest("beside must be a request's id: 'req-' and 24 hexadecimal digits.")
    if len(submission.model) > 200:
        raise InvalidRequest(
            f"A model's name has at most 200 characters, this one {len(submission.model)}.",
            param="model",
        )
    if isinstance(submission.work, Generate):
        check_generate(submission.work)
    else:
        check_embed(submission.work)


def _check_credit_for_calls(submission: Submission) -> None:
    """So does a piece of a call."""
    work = submission.work
    if not isinstance(work, Generate) or not work.tools:
        return
    least = 2 * (LEAST_CREDIT + _CALL_COST + 4 * MAX_PIECE_CHARS)
    if submission.credit < least:
        raise InvalidRequest(
            f"credit must be at least {least} for answers that may call tools, but is "
            f"{submission.credit}: no call could move.",
            param="tools",
        )


def _check_credit_for_logprobs(submission: Submission) -> None:
    """A token travels with all its logprobs or not at all, so half a window must hold it."""
    work = submission.work
    if not isinstance(work, Generate) or work.sampling.logprobs is None:
        return
    entries = 1 + max(0, min(20, work.sampling.logprobs))
    least = 2 * (LEAST_CREDIT + entries * (_LOGPROB_COST + 4 * MAX_LOGPROB_CHARS))
    if submission.credit < least:
        raise InvalidRequest(
            f"credit must be at least {least} for answers with {work.sampling.logprobs} logprobs "
            f"a token, but is {submission.credit}: no answer could move.",
            param="logprobs",
        )


class Queued(msgspec.Struct, frozen=True, omit_defaults=True, tag="queued"):
    """It waits: `place` in the queue (0 is next), expected milliseconds (0 unknown), and why."""

    place: int = 0
    expected_wait_ms: int = 0
    reason: str = ""


class Started(msgspec.Struct, frozen=True, omit_defaults=True, tag="started"):
    """A processor works on it: which model exactly, who, and how long the prompt is in tokens.

    `attempts` counts the processors and gateways that were tried, this one too.
    """

    manifest: Manifest
    prompt_tokens: int
    processor: str = ""
    gateway: str = ""
    exact: bool = True
    attempts: int = 1


class TokenLogprob(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A token with its natural logarithm of probability.

    `text` has at most `MAX_LOGPROB_CHARS` characters, and none for the token that ends an answer;
    `raw` are its bytes, only where they are not those of the text: a part of a character, say.
    `id` is -1 where an upstream tells its text alone.
    """

    id: int
    text: str
    logprob: float
    raw: bytes = b""


class Logprobs(msgspec.Struct, frozen=True, omit_defaults=True):
    """For each token of a delta: itself, and the likeliest in its place."""

    tokens: tuple[TokenLogprob, ...]
    top: tuple[tuple[TokenLogprob, ...], ...] = ()

    @property
    def cost(self) -> int:
        """Their part of `Delta.cost`."""
        cost = sum([_LOGPROB_COST + 4 * len(token.text) for token in self.tokens])
        for top in self.top:
            cost += sum([_LOGPROB_COST + 4 * len(token.text) for token in top])
        return cost


class CallPiece(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """More of a call of a tool: the `index`-th of its answer, whose first piece has the `name`.

    `arguments` are the next characters of its JSON text. Calls come one after another, in pieces of
    at most `MAX_PIECE_CHARS`.
    """

    index: int
    name: str = ""
    arguments: str = ""

    @property
    def chars(self) -> int:
        """How long its texts are."""
        return len(self.name) + len(self.arguments)


class Delta(msgspec.Struct, frozen=True, omit_defaults=True, tag="delta"):
    """The next tokens, and what became certain with them: text, calls of tools; or vectors.

    Text may lag behind ids: a character or a possible stop string is held back until decided.
    `vectors` are those of the next inputs of an `Embed`, in their order: little-endian float32.
    """

    ids: tuple[int, ...] = ()
    text: str = ""
    logprobs: Logprobs | None = None
    calls: tuple[CallPiece, ...] = ()
    vectors: tuple[bytes, ...] = ()

    @property
    def chars(self) -> int:
        """How long its texts are, those of calls too."""
        if not self.calls:
            return len(self.text)
        return len(self.text) + sum([piece.chars for piece in self.calls])

    @property
    def cost(self) -> int:
        """What it takes of the reader's credit: an upper bound of its bytes.

        Additive, so that deltas that were joined on their way cost what they did apart.
        """
        cost = 4 * (len(self.ids) + len(self.text))
        if self.logprobs is not None:
            cost += self.logprobs.cost
        if self.calls:
            cost += sum([_CALL_COST + 4 * piece.chars for piece in self.calls])
        if self.vectors:
            cost += sum([len(vector) for vector in self.vectors])
        return cost


class Finished(msgspec.Struct, frozen=True, omit_defaults=True, tag="finished"):
    """The end of an answer that went as it should, or was cancelled. `receipt` is opaque.

    `stop` is the stop string that ended it; empty where none did, or an upstream does not say.
    """

    reason: Literal["stop", "length", "cancelled", "tool_calls"]
    usage: Usage
    timings: Timings = Timings()
    receipt: bytes = b""
    stop: str = ""


class Failed(msgspec.Struct, frozen=True, omit_defaults=True, tag="failed"):
    """The end of an answer that went wrong: an `AiplatError` on its way.

    `usage` is what was accepted until then, where that is known.
    """

    code: str
    message: str
    param: str | None = None
    retry_after_ms: int | None = None
    recoverable: bool = False
    usage: Usage | None = None

    @classmethod
    def of(cls, error: AiplatError, usage: Usage | None = None) -> Failed:
        """Make the event that tells of `error`."""
        retry = None if error.retry_after is None else round(error.retry_after * 1000)
        return cls(error.code, str(error), error.param, retry, error.recoverable, usage)

    def error(self) -> AiplatError:
        """Make the error again that this event tells of."""
        retry = None if self.retry_after_ms is None else self.retry_after_ms / 1000
        return from_code(
            self.code,
            self.message,
            param=self.param,
            retry_after=retry,
            recoverable=self.recoverable,
        )


AnswerEvent = Queued | Started | Delta | Finished | Failed
"""In order: any `Queued`, `Started`, any `Delta`, then exactly one `Finished` or `Failed`."""


class AnswerSink(Protocol):
    """Where an answer's events go."""

    def deliver(self, event: AnswerEvent) -> None:
        """Take the next event, at once and without blocking; never called before `submit` ended.

        It is bounded by credit: no more `Delta.cost` is delivered than was granted.
        """


class Asking(Protocol):
    """A request under way, as the one who asked holds it."""

    def accept(self, tokens: int, credit: int) -> None:
        """Say that `tokens` in all were accepted, and that `credit` more may come."""

    def cancel(self) -> None:
        """Ask for the end. It is answered by `Finished("cancelled")`, unless another end came."""


class Inference(Protocol):
    """Answers requests. The local gateway, a gateway or processor behind a channel, an engine."""

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Begin to answer `submission` into `sink`.

        Raises:
            AiplatError: when it is refused at once; the sink then hears nothing.
        """


__all__ = [
    "DEFAULT_CREDIT", "MAX_DEADLINE_MS", "MAX_PIECE_CHARS", "AnswerEvent", "AnswerSink", "Asking",
    "CallPiece", "Delta", "Failed", "Finished", "Inference", "Logprobs", "Privacy", "Queued",
    "Resume", "Started", "Submission", "TokenLogprob", "check_submission",
]  # fmt: skip

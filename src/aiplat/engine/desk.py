"""Makes rows of submissions: the prompt's tokens, how to draw, what may be said."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from aiplat.domain.answers import Finished, Started, Submission
from aiplat.domain.chat import MAX_BIASES, Sampling
from aiplat.domain.errors import InvalidRequest, clip
from aiplat.domain.usage import Usage
from aiplat.engine.admission import answer_limit, generation_of
from aiplat.engine.backend import Backend
from aiplat.engine.outbox import Outbox
from aiplat.engine.rows import Draw, Row


class Counted(NamedTuple):
    """The whole answer to who only wants to know how long the prompt is."""

    events: tuple[Started, Finished]


class Desk:
    """Takes requests for one model; knows no queue and no pipe.

    Arguments:
        default_max_tokens: the longest answer when a request does not say.
    """

    def __init__(self, backend: Backend, default_max_tokens: int) -> None:
        self._backend = backend
        self._default_max_tokens = default_max_tokens

    def row(self, number: int, submission: Submission, arrived: float) -> Row | Counted:
        """Make the row of `submission`, which arrived at `arrived` (seconds); or count its prompt.

        Raises:
            AiplatError: it cannot be served, and why.
        """
        work = generation_of(submission)
        manifest = self._backend.manifest
        draw = self._draw(work.sampling)
        prompt = self._backend.encode(work)
        if not prompt:
            raise InvalidRequest(
                "The prompt has no tokens.",
                param="messages" if work.prompt is None else "prompt",
            )
        if work.only_count:
            return Counted((Started(manifest, len(prompt)), Finished("stop", Usage(0, 0))))
        limit = answer_limit(
            len(prompt), work.sampling.max_tokens, self._backend.context,
            self._default_max_tokens, min(self._backend.capacity, manifest.context),
        )  # fmt: skip
        said = submission.resume.ids if submission.resume is not None else ()
        if len(said) > limit or not all(0 <= token < manifest.vocabulary for token in said):
            raise InvalidRequest(
                f"resume holds {len(said)} tokens of an answer of at most {limit}, or what is no "
                "token of this model.",
                param="resume",
            )
        matcher = self._backend.matcher(work, said)
        voice = self._backend.voice(work)
        for token in said:
            voice.say(token)
        voice.take_calls()  # they were heard elsewhere
        return Row(
            number=number,
            ids=[*prompt, *said],
            prompt_tokens=len(prompt),
            limit=limit,
            draw=draw,
            voice=voice,
            outbox=Outbox(submission.credit),
            arrived=arrived,
            deadline=arrived + submission.deadline_ms / 1000,
            tag=submission.fairness,
            matcher=matcher,
        )

    def _draw(self, asked: Sampling) -> Draw:
        """What was asked for, else the model's own, else what changes nothing."""
        own = self._backend.defaults

        def value(name: str, neutral: float) -> float:
            for one in (getattr(asked, name), getattr(own, name)):
                if one is not None:
                    return float(one)
            return neutral

        return Draw(
            temperature=value("temperature", 1.0),
            top_p=value("top_p", 1.0),
            seed=secrets.randbits(63) if asked.seed is None else asked.seed,
            top_k=int(value("top_k", 0)),
            min_p=value("min_p", 0.0),
            repetition=value("repetition_penalty", 1.0),
            presence=value("presence_penalty", 0.0),
            frequency=value("frequency_penalty", 0.0),
            bias=_bias(asked.logit_bias or {}, self._backend.manifest.vocabulary),
            logprobs=asked.logprobs,
        )


def _bias(biases: dict[str, float], vocabulary: int) -> tuple[tuple[int, float], ...]:
    """The biases by token id.

    Raises:
        InvalidRequest: a key is no token of the model, or a value is out of bounds.
    """
    if len(biases) > MAX_BIASES:
        raise InvalidRequest(
            f"logit_bias may name at most {MAX_BIASES} tokens, but names {len(biases)}.",
            param="logit_bias",
        )
    found = {}
    for key, bias in biases.items():
        token = int(key) if key.isascii() and key.isdigit() and len(key) <= 10 else -1
        if not 0 <= token < vocabulary:
            raise InvalidRequest(
                f"logit_bias names the token {clip(key)!r}, but this model's tokens are 0 to "
                f"{vocabulary - 1}.",
                param="logit_bias",
            )
        if not -100 <= bias <= 100:  # also refuses NaN
            raise InvalidRequest(
                f"logit_bias must be from -100 to 100, but is {bias!r} for the token {token}.",
                param="logit_bias",
            )
        found[token] = bias
    return tuple(sorted(found.items()))

"""Makes rows of submissions: the prompt's tokens, how to draw, what may be said."""

from __future__ import annotations

import secrets

from aiplat.domain.answers import Submission
from aiplat.domain.chat import Sampling
from aiplat.domain.errors import InvalidRequest
from aiplat.engine.admission import answer_limit, generation_of
from aiplat.engine.backend import Backend
from aiplat.engine.outbox import Outbox
from aiplat.engine.rows import Draw, Row


class Desk:
    """Takes requests for one model; knows no queue and no pipe.

    Arguments:
        default_max_tokens: the longest answer when a request does not say.
    """

    def __init__(self, backend: Backend, default_max_tokens: int) -> None:
        self._backend = backend
        self._default_max_tokens = default_max_tokens

    def row(self, number: int, submission: Submission, arrived: float) -> Row:
        """Make the row of `submission`, which arrived at `arrived` (seconds).

        Raises:
            AiplatError: it cannot be served, and why.
        """
        work = generation_of(submission)
        manifest = self._backend.manifest
        prompt = self._backend.encode(work)
        if not prompt:
            raise InvalidRequest("The prompt has no tokens.", param="messages")
        limit = answer_limit(
            len(prompt), work.sampling.max_tokens, manifest.context, self._default_max_tokens
        )
        said = submission.resume.ids if submission.resume is not None else ()
        if len(said) > limit or not all(0 <= token < manifest.vocabulary for token in said):
            raise InvalidRequest(
                f"resume holds {len(said)} tokens of an answer of at most {limit}, or what is no "
                "token of this model.",
                param="resume",
            )
        voice = self._backend.voice(work.sampling.stop)
        for token in said:
            voice.say(token)
        return Row(
            number=number,
            ids=[*prompt, *said],
            prompt_tokens=len(prompt),
            limit=limit,
            draw=self._draw(work.sampling),
            voice=voice,
            outbox=Outbox(submission.credit),
            arrived=arrived,
            deadline=arrived + submission.deadline_ms / 1000,
        )

    def _draw(self, asked: Sampling) -> Draw:
        default = self._backend.defaults
        temperature = default.temperature if asked.temperature is None else asked.temperature
        top_p = default.top_p if asked.top_p is None else asked.top_p
        seed = secrets.randbits(63) if asked.seed is None else asked.seed
        return Draw(
            temperature=1.0 if temperature is None else temperature,
            top_p=1.0 if top_p is None else top_p,
            seed=seed,
        )

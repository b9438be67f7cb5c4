"""Makes rows of requests for vectors: the tokens of each text, and what does not fit is refused."""

from __future__ import annotations

from collections.abc import Iterator

from aiplat.domain.answers import Submission
from aiplat.domain.chat import Embed
from aiplat.engine.embedding import check_window, embedding_of, numbers_of, too_long
from aiplat.engine.vector_backend import BYTES_A_NUMBER, VectorBackend
from aiplat.engine.vector_rows import VectorRow

_AT_ONCE = 64
"""Texts of which tokens are made by one call: then the other threads have their turn."""


class VectorDesk:
    """Takes requests for one model; knows no queue and no pipe."""

    def __init__(self, backend: VectorBackend) -> None:
        self._backend = backend

    def row(self, number: int, submission: Submission, arrived: float) -> VectorRow:
        """Make the row of `submission`, which arrived at `arrived` (seconds).

        Raises:
            AiplatError: it cannot be served, and why.
        """
        work = embedding_of(submission)
        name = self._backend.manifest.name
        size = numbers_of(work, name, self._backend.size, cuts=self._backend.cuts)
        check_window(submission, BYTES_A_NUMBER * size)
        return VectorRow(
            number=number,
            texts=list(self._texts(work)),
            size=size,
            cost=BYTES_A_NUMBER * size,
            credit=submission.credit,
            arrived=arrived,
            deadline=arrived + submission.deadline_ms / 1000,
            tag=submission.fairness,
        )

    def _texts(self, work: Embed) -> Iterator[list[int]]:
        manifest = self._backend.manifest
        most = manifest.context if work.truncate else None
        for first in range(0, len(work.inputs), _AT_ONCE):
            texts = self._backend.encode(work.inputs[first : first + _AT_ONCE], most)
            for place, ids in enumerate(texts, first):
                if len(ids) > manifest.context:
                    raise too_long(place, len(ids), manifest.name, manifest.context)
                yield ids

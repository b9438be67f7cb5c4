"""Requests as a gateway has them: let in by a key, under way, ended; and what there is to write."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiplat.accounts.accounts import Accounts
from aiplat.accounts.meter import Lease
from aiplat.accounts.metered import Batch
from aiplat.domain.answers import Finished, Started
from aiplat.domain.models import Manifest
from aiplat.domain.usage import Timings, Usage
from bench.accounts.people import accounts_in

MODEL = "echo"
PROMPT, ANSWER = 30, 50
DONE = Finished("stop", Usage(PROMPT, ANSWER))
TIMINGS = Timings(1.25, 20.125, 300.0625)
_NO_DIGEST = "0" * 64
STARTED = Started(
    Manifest(name=MODEL, weights=_NO_DIGEST, tokenizer=_NO_DIGEST, template=_NO_DIGEST, recipe=1,
             dtype="none", context=10_000, vocabulary=50_000, backend="bench"),
    prompt_tokens=PROMPT,
)  # fmt: skip


@dataclass
class Progress:
    """A request under way, as its gateway has it (`aiplat.accounts.meter.Progress`)."""

    tokens: int = ANSWER
    model: str = MODEL
    began: Started | None = STARTED
    processor: str | None = "12D3KooW" + "C" * 44


WHOLE = Progress()
_FLUSH_SECONDS = 0.1


class Traffic:
    """What a gateway's accounts have to write. Between two batches of new ones is a
    tenth of a second.

    Arguments:
        folder: has the store.
        keys: whole keys of it, which ask by turns.
        at: when it begins, in seconds since 1970 (UTC).
    """

    def __init__(self, folder: Path, keys: Sequence[str], at: float) -> None:
        self.at = at
        self.accounts: Accounts = accounts_in(folder, lambda: self.at)
        self.accounts.open()
        shuffled = random.Random(3).sample(keys, len(keys))
        self._keys = itertools.cycle(shuffled)
        self._numbers = itertools.count(1)

    def ended(self, count: int) -> Batch:
        """So many that came and went since the last batch."""
        for lease in self._let_in(count):
            self._end(lease)
        return self._taken()

    def begun(self, count: int) -> tuple[list[Lease], Batch]:
        """So many that are under way."""
        leases = self._let_in(count)
        return leases, self._taken()

    def grown(self, leases: list[Lease]) -> Batch:
        """Those, a few tokens later."""
        for lease in leases:
            before = WHOLE.tokens if lease.progress is None else lease.progress.tokens
            lease.progress = Progress(before + 5)
        return self._taken()

    def over(self, leases: list[Lease]) -> Batch:
        """Those, ended."""
        for lease in leases:
            self._end(lease)
        return self._taken()

    def _let_in(self, count: int) -> list[Lease]:
        self.at += _FLUSH_SECONDS
        return [self._one() for _ in range(count)]

    def _one(self) -> Lease:
        name = f"req-{next(self._numbers):024x}"
        lease = self.accounts.admission.admit(name, next(self._keys), None, MODEL, PROMPT, ANSWER)
        lease.progress = WHOLE
        return lease

    def _end(self, lease: Lease) -> None:
        lease.end(DONE, MODEL, "stop", TIMINGS)

    def _taken(self) -> Batch:
        batch = self.accounts.meter.take()
        assert batch is not None  # something has changed
        return batch

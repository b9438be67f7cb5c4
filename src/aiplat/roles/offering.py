"""What a client knows of the models behind one gateway: which gateway to ask first.

It is a guess and no rule: who was guessed wrong refuses, and the request moves on (`roaming`).
Pure; the clock is whatever the caller passes, in seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from aiplat.control.messages import ModelStatus
from aiplat.domain.answers import Submission
from aiplat.domain.models import Ability

MAX_MODELS = 1000
"""Names that are kept of one gateway, and refusals of the like."""

READY, COLD, UNKNOWN, LACKS, REFUSED = range(5)


class Offering:
    """The models of one gateway, as it told them last, and whom it had nobody for.

    Arguments:
        refusal_seconds: how long a refusal counts.
    """

    def __init__(self, refusal_seconds: float) -> None:
        self._refusal_seconds = refusal_seconds
        self._ready: frozenset[str] | None = None
        self._cold: frozenset[str] = frozenset()
        self._can: dict[str, tuple[Ability, ...]] = {}
        self._refused: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._asked_at: float | None = None

    def is_due(self, now: float, every: float) -> bool:
        """Whether to ask for the models now, `every` so many seconds at most; notes it."""
        if self._asked_at is not None and now - self._asked_at < every:
            return False
        self._asked_at = now
        return True

    def heard(self, models: Iterable[ModelStatus]) -> None:
        """It told its models."""
        models = tuple(models)
        ready = [model.name for model in models if model.state == "ready"]
        self._ready = frozenset(ready[:MAX_MODELS])
        self._cold = frozenset([model.name for model in models if model.cold][:MAX_MODELS])
        kept = self._ready | self._cold
        self._can = {model.name: model.can for model in models if model.name in kept}

    def refused(self, submission: Submission, now: float) -> None:
        """It had nobody for a request."""
        key = (submission.model, submission.privacy, submission.needs)
        self._refused[key] = now
        self._refused.move_to_end(key)
        if len(self._refused) > MAX_MODELS:
            self._refused.popitem(last=False)

    def rank(self, submission: Submission, now: float) -> int:
        """How likely it has somebody for a request: the least is the best.

        A refusal counts for more than the list: that knows nothing of privacy, and may be old.
        """
        refused = self._refused.get((submission.model, submission.privacy, submission.needs))
        if refused is not None and now - refused < self._refusal_seconds:
            return REFUSED
        if self._ready is None:
            return UNKNOWN
        for names, how in ((self._ready, READY), (self._cold, COLD)):
            asked = (submission.model,) if submission.model else names
            if any(name in names and submission.needs in self._can[name] for name in asked):
                return how
        return LACKS

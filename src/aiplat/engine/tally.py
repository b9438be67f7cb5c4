"""How often each token stands in a request, for penalties. Pure; each token is counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


class Tally:
    """Follows the tokens of one request as they grow.

    `prompt` holds the prompt's different tokens, `answer` the answer's with their counts; those
    said elsewhere (`Resume`) are the answer's.
    """

    __slots__ = ("_known", "answer", "prompt")

    def __init__(self) -> None:
        self.prompt: frozenset[int] = frozenset()
        self.answer: Counter[int] = Counter()
        self._known = 0

    def follow(self, ids: Sequence[int], prompt_tokens: int) -> None:
        """Count what is new in `ids`, of which the first `prompt_tokens` are the prompt's."""
        if not self._known:
            self.prompt = frozenset(ids[:prompt_tokens])
            self._known = prompt_tokens
        self.answer.update(ids[self._known :])
        self._known = len(ids)

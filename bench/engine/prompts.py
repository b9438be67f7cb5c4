"""Prompts of a wanted length in tokens, no two of which begin alike: no cache helps by accident."""

from __future__ import annotations

import random
from pathlib import Path

from tokenizers import Tokenizer

from bench.engine.asking import Messages

_THINGS = (
    "fox", "clock", "river", "baker", "violin", "bridge", "lantern", "garden", "ship", "tower",
    "letter", "winter", "market", "island", "painter", "storm", "castle", "teacher", "horse",
    "mountain", "bicycle", "library", "orange", "sailor", "window", "train",
)  # fmt: skip
_KINDS = (
    "red", "old", "quiet", "brave", "golden", "tiny", "strange", "tall", "gentle", "lonely",
    "clever", "broken", "blue",
)  # fmt: skip
_TRIES = 1000


class Prompts:
    """Makes prompts for the embedded model.

    Arguments:
        folder: the model's, for its tokenizer.
        seed: the same prompts for the same seed.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._random = random.Random(seed)

    def story(self, tokens: int) -> Messages:
        """Ask for a story, which the model tells at any length; `tokens` with the template."""
        draw = self._random
        for _ in range(_TRIES):
            words = [f"{draw.choice(_KINDS)} {draw.choice(_THINGS)}" for _ in range(2)]
            text = f"Write a very long story about a {words[0]} and a {words[1]}."
            made = _messages(f"{draw.randrange(1000)}", text)
            while self._count(made) < tokens:
                made[1]["content"] += f" {draw.choice(_THINGS)}"
            if self._count(made) == tokens:
                return made
        raise ValueError(f"There is no such prompt of {tokens} tokens: take some more.")

    def reading(self, tokens: int) -> Messages:
        """Something long to read, and a question about it; `tokens` with the template."""
        draw = self._random
        number = draw.randrange(1000, 10_000)
        words = [draw.choice(_KINDS if n % 2 else _THINGS) for n in range(tokens)]
        low, high = 0, tokens
        while low < high:
            middle = (low + high + 1) // 2
            if self._count(_reading(number, words[:middle])) <= tokens:
                low = middle
            else:
                high = middle - 1
        return _reading(number, words[:low])

    def _count(self, messages: Messages) -> int:
        said = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
        encoded = self._tokenizer.encode(f"{said}<|im_start|>assistant\n", add_special_tokens=False)
        return len(encoded.ids)


def _messages(system: str, user: str) -> Messages:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _reading(number: int, words: list[str]) -> Messages:
    return _messages(str(number), f"{' '.join(words)}. Tell a story with these words.")

"""What an answer came to: tokens and times."""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Tokens of one request. `exact` is False where an upstream engine gave no token ids."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    exact: bool = True

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


class Timings(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Milliseconds, each measured by one process on its own monotonic clock."""

    queue_ms: float = 0.0
    first_token_ms: float = 0.0
    total_ms: float = 0.0

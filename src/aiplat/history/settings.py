"""The settings of the history. Times are in seconds, sizes in bytes where no name says more."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta


class HistorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a node keeps of a person's conversations, and how many answers it gives into them."""

    SECTION: ClassVar[str] = "history"

    max_conversations: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Conversations that are kept; one more is refused, "
             "and its answers are given without being kept."),
    ] = 10_000  # fmt: skip
    max_bytes: Annotated[
        int,
        Meta(ge=1_000_000, le=2**40, description="Size of the file, from which on nothing new is "
             "taken into it; answers under way are."),
    ] = 2 * 1024**3  # fmt: skip
    max_conversation_bytes: Annotated[
        int,
        Meta(ge=1_000, le=12 * 1024**2, description="Size of one conversation, over all branches, "
             "from which on it takes nothing new."),
    ] = 8 * 1024**2  # fmt: skip
    max_running: Annotated[
        int, Meta(ge=1, le=1000, description="Kept answers under way at once; one more is refused.")
    ] = 32
    max_followers: Annotated[
        int,
        Meta(ge=1, le=1000, description="Faces that follow one answer at once; one more is "
             "refused."),
    ] = 16  # fmt: skip
    max_answer_chars: Annotated[
        int,
        Meta(ge=1, le=2_000_000, description="Characters of a kept answer, after which it ends."),
    ] = 1_000_000
    kept_ended: Annotated[
        int,
        Meta(ge=1, le=1000, description="Answers that ended last, which a face that comes a moment "
             "late may follow still."),
    ] = 16  # fmt: skip
    flush_seconds: Annotated[
        float,
        Meta(gt=0, le=3600, description="How often the text of an answer under way goes to the "
             "disk: what a killed node loses at most."),
    ] = 1.0  # fmt: skip

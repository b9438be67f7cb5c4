"""The settings of stored answers. Sizes are in bytes."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta


class StoredSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a node keeps of the answers of its Responses API, for each user."""

    SECTION: ClassVar[str] = "stored"

    days: Annotated[
        float, Meta(ge=0.01, le=3650, description="Days after which an answer is deleted.")
    ] = 30.0
    max_answers: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Answers of one user; the user's oldest gives way."),
    ] = 10_000
    max_user_bytes: Annotated[
        int,
        Meta(ge=100_000, le=2**40, description="Size of one user's answers, with what was asked; "
             "the user's oldest give way."),
    ] = 256 * 1024**2  # fmt: skip
    max_bytes: Annotated[
        int,
        Meta(ge=100_000, le=2**40, description="Size of all users' answers; the oldest of who has "
             "the most give way."),
    ] = 2 * 1024**3  # fmt: skip
    max_chain_bytes: Annotated[
        int,
        Meta(ge=1_000, le=2**30, description="Size of the answers that a request goes on from; "
             "with more it is refused."),
    ] = 8 * 1024**2  # fmt: skip
    max_waiting_bytes: Annotated[
        int,
        Meta(ge=100_000, le=2**40, description="Size of what waits in memory to be written; from "
             "there on a request whose answer shall be stored is refused."),
    ] = 64 * 1024**2  # fmt: skip
    max_asking: Annotated[
        int,
        Meta(ge=1, le=100_000, description="Requests that read or delete stored answers at once; "
             "one more is refused."),
    ] = 256  # fmt: skip

"""The settings of the engines. Times are in seconds, sizes in tokens unless a name says else."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds, budgets and deadlines of the engines that run models."""

    SECTION: ClassVar[str] = "engine"

    slots: Annotated[
        int, Meta(ge=1, le=256, description="Requests that one model works on at once.")
    ] = 16
    max_waiting: Annotated[
        int, Meta(ge=0, le=10_000, description="Requests that may wait for a slot of one model.")
    ] = 64
    default_max_tokens: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Longest answer in tokens when a request gives no max_tokens.",
        ),
    ] = 1024
    step_seconds: Annotated[
        float,
        Meta(ge=0.01, le=10, description="How long one step of a model should take at most."),
    ] = 0.2
    prefill_tokens: Annotated[
        int,
        Meta(ge=16, le=65_536, description="Most prompt tokens that one step reads, all requests."),
    ] = 512
    cache_mib: Annotated[
        int,
        Meta(ge=16, le=16_777_216, description="Most memory of a model's KV cache, in MiB."),
    ] = 2048
    memory_mib: Annotated[
        int,
        Meta(ge=0, le=16_777_216, description="Most memory of all models together, in MiB; 0 takes "
             "what the machine has."),
    ] = 0  # fmt: skip
    threads: Annotated[
        int, Meta(ge=0, le=1024, description="Threads of a model's process; 0 takes one a core.")
    ] = 0
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Meta(
            description="What models compute in; auto takes bfloat16 for weights that are in it, "
            "where the CPU has instructions for it, else float32."
        ),
    ] = "auto"
    load_seconds: Annotated[
        float, Meta(ge=1, le=3600, description="How long a model may take to load.")
    ] = 300.0
    silence_seconds: Annotated[
        float,
        Meta(ge=0.2, le=600, description="A model's process that is silent so long is replaced."),
    ] = 3.0
    hang_seconds: Annotated[
        float,
        Meta(ge=0.2, le=3600, description="A model that has work and makes no step is replaced."),
    ] = 30.0
    restart_first_seconds: Annotated[
        float, Meta(ge=0.01, le=600, description="Pause before a model is first started again.")
    ] = 0.5
    restart_most_seconds: Annotated[
        float, Meta(ge=0.01, le=3600, description="To this the pause grows, doubled each time.")
    ] = 30.0
    restart_reset_seconds: Annotated[
        float,
        Meta(ge=1, le=86_400, description="After a good spell so long the pauses begin anew."),
    ] = 60.0
    stop_seconds: Annotated[
        float, Meta(ge=0.1, le=60, description="How long a model's process gets to end by itself.")
    ] = 1.0
    max_frame: Annotated[
        int,
        Meta(ge=65_536, le=1_073_741_824, description="Largest message to an engine, in bytes."),
    ] = 16 * 1024 * 1024
    pull_lock_seconds: Annotated[
        float,
        Meta(ge=1, le=86_400, description="How long a pull waits for one that is under way."),
    ] = 1800.0
    echo_rate: Annotated[
        float,
        Meta(
            ge=0, le=1_000_000, description="Tokens a second of each answer of `echo`; 0: no pause."
        ),
    ] = 0.0
    echo_slots: Annotated[
        int, Meta(ge=1, le=100_000, description="Requests that `echo` answers at once.")
    ] = 1024
    echo_context: Annotated[
        int, Meta(ge=16, le=10_000_000, description="Prompt and answer of `echo` together.")
    ] = 131_072
    echo_burst: Annotated[
        int, Meta(ge=1, le=4096, description="Most tokens of one event of `echo`.")
    ] = 8

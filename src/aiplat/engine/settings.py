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
    ] = 32
    max_waiting: Annotated[
        int, Meta(ge=0, le=10_000, description="Requests that may wait for a slot of one model.")
    ] = 128
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
    embed_tokens: Annotated[
        int,
        Meta(
            ge=16,
            le=1_048_576,
            description="Most tokens of texts that one step of an embedding model reads, all "
            "requests; a text is read whole.",
        ),
    ] = 8192
    embed_chars: Annotated[
        int,
        Meta(
            ge=1,
            le=16_777_216,
            description="Most characters of all texts of one request for embeddings.",
        ),
    ] = 1_000_000
    cache_mib: Annotated[
        int,
        Meta(
            ge=16,
            le=16_777_216,
            description="Most memory of a model's KV cache, in MiB. On a CUDA device it takes four "
            "fifths of what its weights leave free there.",
        ),
    ] = 2048
    prefix_places: Annotated[
        int,
        Meta(
            ge=0,
            le=1024,
            description="Prompts with their answers that a model's KV cache keeps beside those "
            "under way, so that the next turn of a conversation reads only what is new.",
        ),
    ] = 16
    prefix_least: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="With fewer equal tokens a prompt is read anew."),
    ] = 32
    share_prefixes: Annotated[
        bool,
        Meta(
            description="Whether users profit from what was read for others; who measures times "
            "could then guess at others' prompts."
        ),
    ] = False
    deterministic: Annotated[
        bool,
        Meta(
            description="Whether an answer is the same, token for token, in any company and on all "
            "machines of one numerics class (the same CPU features, packages and threads); slower."
        ),
    ] = False
    schema_bytes: Annotated[
        int,
        Meta(
            ge=64,
            le=16_777_216,
            description="Most bytes of the JSON Schema of an answer, or of one tool.",
        ),
    ] = 262_144
    schema_depth: Annotated[
        int,
        Meta(ge=2, le=256, description="Most objects and lists within each other in a schema."),
    ] = 64
    memory_mib: Annotated[
        int,
        Meta(
            ge=0,
            le=16_777_216,
            description="Memory that all loaded models may take together, in MiB; 0 takes three "
            "quarters of this machine's, or of what its control group allows.",
        ),
    ] = 0
    idle_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=31_536_000,
            description="A model that nobody asked so long is unloaded, until the next request; "
            "0 keeps it.",
        ),
    ] = 0.0
    serve_pulled: Annotated[
        bool,
        Meta(
            description="Whether a processor also serves the pulled models that it was not told: "
            "those that are there when it starts; each is loaded when it is asked for."
        ),
    ] = False
    threads: Annotated[
        int, Meta(ge=0, le=1024, description="Threads of a model's process; 0 takes one a core.")
    ] = 0
    device: Annotated[
        str,
        Meta(
            pattern="^(auto|cpu|mps|cuda|cuda:all|cuda:[0-9]{1,2})$",
            description="Where models are computed: auto takes a GPU when there is one; cuda:all "
            "spreads a model over all of them, layer by layer.",
        ),
    ] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "float16", "bfloat16", "4bit"],
        Meta(
            description="What weights are kept in; auto takes what they were stored in where this "
            "machine is good at it. On a CPU float16 and 4bit are summed in float32, and 4bit is "
            "taken for models that were stored so.",
        ),
    ] = "auto"
    attention: Annotated[
        Literal["auto", "model"],
        Meta(
            description="Who computes attention: auto takes aiplat's own, which serves many "
            "requests at once, where the model's numbers come out the same; model takes "
            "transformers' own for the model, one request after another."
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
    pulls: Annotated[
        int,
        Meta(
            ge=1,
            le=16,
            description="Models that a node brings onto its machine at once, when a face asks.",
        ),
    ] = 2
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

"""The settings of the roles. Times are in seconds."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and deadlines of the gateway role."""

    SECTION: ClassVar[str] = "gateway"

    max_requests: Annotated[
        int, Meta(ge=1, le=100_000, description="Requests under way at once; one more is refused.")
    ] = 1024
    max_waiting: Annotated[
        int, Meta(ge=0, le=100_000, description="Of those, how many may wait for a processor.")
    ] = 512
    no_processor_seconds: Annotated[
        Seconds,
        Meta(description="How long a request waits while no processor offers its model at all."),
    ] = 2.0
    queue_seconds: Annotated[
        Seconds,
        Meta(description="How long a request waits for a processor that is busy or still loads."),
    ] = 120.0
    first_token_seconds: Annotated[
        Seconds, Meta(description="From placing a request on a processor to its first token.")
    ] = 120.0
    next_token_seconds: Annotated[
        Seconds, Meta(description="From one token to the next, while the reader keeps up.")
    ] = 60.0
    remind_seconds: Annotated[
        Seconds,
        Meta(description="How often who asked is told that a request without a token is still "
             "looked after."),
    ] = 10.0  # fmt: skip
    stalled_seconds: Annotated[
        Seconds,
        Meta(description="How long a reader may take nothing of an answer of which more waits: it "
             "holds a processor's place."),
    ] = 60.0  # fmt: skip
    attempts: Annotated[
        int,
        Meta(ge=1, le=10, description="Processors that a request is tried on before its first "
             "token, the first one counted."),
    ] = 2  # fmt: skip
    rest_seconds: Annotated[
        Seconds,
        Meta(
            description="How long a processor that failed rests, for the model that it failed at."
        ),
    ] = 1.0
    longest_rest_seconds: Annotated[
        Seconds, Meta(description="The longest of these rests: each failure doubles it.")
    ] = 60.0
    explain_requests: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Requests whose reasons are kept for `explain`.")
    ] = 10_000
    explain_processors: Annotated[
        int,
        Meta(ge=1, le=1000, description="Processors that are kept of each of their choices, the "
             "best and the one that was taken."),
    ] = 16  # fmt: skip
    cancel_seconds: Annotated[
        Seconds, Meta(description="How long a processor may take to answer a cancel.")
    ] = 5.0
    peers_told: Annotated[
        int,
        Meta(ge=1, le=400, description="Peers that one is told of who asks this gateway whom it "
             "sees; clients are left out first."),
    ] = 200  # fmt: skip


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the client role."""

    SECTION: ClassVar[str] = "client"

    call_seconds: Annotated[
        Seconds, Meta(description="How long a gateway may take to answer a small question.")
    ] = 5.0
    peers_seconds: Annotated[
        float,
        Meta(gt=0, le=3, description="How long a gateway may take to tell whom it sees (`peers`)."),
    ] = 1.0
    peers_kept_seconds: Annotated[
        Seconds, Meta(description="How long that is shown before the gateways are asked anew.")
    ] = 1.5
    peers_heard: Annotated[
        int, Meta(ge=1, le=1000, description="Peers that one gateway may tell of.")
    ] = 400
    silence_seconds: Annotated[
        Seconds,
        Meta(description="How long a gateway may tell nothing at all of a request before its first "
             "token. It should be some times its `gateway.remind_seconds`."),
    ] = 45.0  # fmt: skip
    attempts: Annotated[
        int,
        Meta(ge=1, le=10, description="Gateways that a request is tried through before its first "
             "token, the first one counted."),
    ] = 4  # fmt: skip
    models_seconds: Annotated[
        Seconds,
        Meta(description="How often, at most, gateways are asked for their models while requests "
             "go to them: one that has the model ready is asked first."),
    ] = 10.0  # fmt: skip
    refusal_seconds: Annotated[
        Seconds,
        Meta(description="How long a gateway that had nobody for a request is the last to be asked "
             "the like."),
    ] = 30.0  # fmt: skip
    explain_requests: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Requests of which it is kept which gateway had them, "
             "for `explain`."),
    ] = 10_000  # fmt: skip
    gateway_seconds: Annotated[
        Seconds,
        Meta(description="How long a request waits for a gateway that is being reconnected."),
    ] = 5.0


class ShareSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as idle for `aiplat share --idle-only`, and what others get when it ends."""

    SECTION: ClassVar[str] = "share"

    idle_cpu: Annotated[
        float,
        Meta(ge=0.01, le=1, description="The machine is idle while other programs take less than "
             "this share of all its CPUs."),
    ] = 0.25  # fmt: skip
    idle_seconds: Annotated[
        Seconds, Meta(description="Over how long that is measured, before others are let in too.")
    ] = 60.0
    input_seconds: Annotated[
        float,
        Meta(ge=0, le=86_400, description="How long nobody may have typed at a terminal of it; 0 "
             "leaves terminals alone."),
    ] = 300.0  # fmt: skip
    grace_seconds: Annotated[
        float,
        Meta(ge=0, le=86_400, description="How long requests of others may go on when somebody "
             "comes back."),
    ] = 30.0  # fmt: skip

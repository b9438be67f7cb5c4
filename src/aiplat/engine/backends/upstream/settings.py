"""The settings of the upstream backend. Times are in seconds."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0, le=86_400)]

AUTO = "auto"
"""In place of a URL: what is found on this machine."""


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A server that speaks the OpenAI API and runs this node's models: where, and its bounds."""

    SECTION: ClassVar[str] = "upstream"

    url: Annotated[
        str,
        Meta(
            description="The server, such as `http://127.0.0.1:8000/v1`; `auto` takes an Ollama or "
            "a llama.cpp server of this machine; empty: models run in aiplat itself."
        ),
    ] = ""
    key_env: Annotated[
        str,
        Meta(description="The environment variable that holds the server's key; empty: no key."),
    ] = ""
    models: Annotated[
        tuple[str, ...],
        Meta(description="The server's models that are offered; empty: all that it lists."),
    ] = ()
    slots: Annotated[
        int, Meta(ge=1, le=100_000, description="Requests that one model has there at once.")
    ] = 16
    max_waiting: Annotated[
        int, Meta(ge=0, le=10_000, description="Requests that may wait for a slot of one model.")
    ] = 64
    max_models: Annotated[
        int, Meta(ge=1, le=256, description="Models that are offered at most; the first listed.")
    ] = 64
    private: Annotated[
        bool,
        Meta(
            description="Whether the server is a machine of this network's people: then it is sent "
            "what may not leave the network. One on this machine always is."
        ),
    ] = False
    connect_seconds: Annotated[
        Seconds, Meta(description="How long connecting to the server may take.")
    ] = 5.0
    first_token_seconds: Annotated[
        Seconds, Meta(description="From sending a request to the first word of its answer.")
    ] = 110.0
    next_token_seconds: Annotated[
        Seconds, Meta(description="From one piece of an answer to the next.")
    ] = 50.0
    whole_seconds: Annotated[
        Seconds, Meta(description="A whole answer, whatever the request itself allows.")
    ] = 3600.0
    list_seconds: Annotated[
        Seconds, Meta(description="How long the server may take to list its models.")
    ] = 10.0
    refresh_seconds: Annotated[
        Seconds, Meta(description="How often the server is asked for its models.")
    ] = 30.0
    retry_first_seconds: Annotated[
        Seconds, Meta(description="Pause before a server that does not answer is asked again.")
    ] = 0.5
    retry_most_seconds: Annotated[
        Seconds, Meta(description="To this the pause grows, doubled each time.")
    ] = 30.0
    auto_places: Annotated[
        tuple[str, ...],
        Meta(description="Where `auto` looks, on this machine only."),
    ] = ("http://127.0.0.1:11434", "http://127.0.0.1:8080")
    auto_seconds: Annotated[
        float, Meta(gt=0, le=60, description="How long that look takes at most.")
    ] = 1.0

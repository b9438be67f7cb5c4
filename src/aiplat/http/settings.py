"""The settings of the HTTP doors. Times are in seconds, sizes in bytes."""

from __future__ import annotations

import socket
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the HTTP doors listen, and the bounds of what comes through them."""

    SECTION: ClassVar[str] = "http"

    bind: Annotated[
        str,
        Meta(
            description="HOST:PORT of the front door; port 0 picks one, 0.0.0.0 and [::] stand for "
            "every address of the machine. Beyond loopback only with TLS, or with "
            "plain_beyond_loopback.",
            min_length=1,
            max_length=255,
        ),
    ] = "127.0.0.1:8777"
    tls_certificate: Annotated[
        str,
        Meta(
            description="A PEM file with the certificate that the front door shows, the chain "
            "behind it; the door then speaks https alone. Empty: no TLS.",
            max_length=4096,
        ),
    ] = ""
    tls_key: Annotated[
        str,
        Meta(
            description="The PEM file with that certificate's private key, without a passphrase, "
            "for its owner alone (mode 600).",
            max_length=4096,
        ),
    ] = ""
    plain_beyond_loopback: Annotated[
        bool,
        Meta(
            description="Whether the door may listen beyond loopback without TLS: every prompt, "
            "answer and key then crosses the network in the clear."
        ),
    ] = False
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Names that a request's Host may hold, besides those of loopback, the "
            "address that it came in on, and the certificate's.",
            max_length=100,
        ),
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Origins (such as https://app.example) whose pages may use /v1, /api and "
            "the health routes from a browser, with a key as all; never the dashboard. None: no "
            "page of another origin may.",
            max_length=100,
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses (or networks, such as 10.0.0.0/8) of reverse proxies whose "
            "X-Forwarded-For and X-Forwarded-Proto are believed. None: no proxy is.",
            max_length=100,
        ),
    ] = ()
    control: Annotated[
        Literal["auto", "socket", "port"],
        Meta(
            description="Where the node's own commands reach it: a Unix socket, or a port of "
            "loopback whose address and token lie in a file that only the owner may read. auto: "
            "the socket wherever there are such."
        ),
    ] = "auto"
    access_log: Annotated[
        Literal["off", "failures", "all"],
        Meta(
            description="Which requests get a line of the log at their end: those that failed for "
            "a fault on this side (5xx), all, or none. At debug the rest have theirs too."
        ),
    ] = "failures"
    max_connections: Annotated[
        int,
        Meta(
            description="Connections at once, those in a TLS handshake too; one more is refused.",
            ge=1,
            le=100_000,
        ),
    ] = 1024
    max_connections_per_source: Annotated[
        int,
        Meta(
            description="Those of them from one address beyond loopback (of IPv6, one /64).",
            ge=1,
            le=100_000,
        ),
    ] = 256
    max_requests: Annotated[
        int, Meta(description="Answers under way at once; one more is refused.", ge=1, le=100_000)
    ] = 512
    max_choices: Annotated[
        int,
        Meta(
            description="Answers that one request may ask for (n); of a gateway also how many may "
            "have one prompt between them.",
            ge=1,
            le=128,
        ),
    ] = 16
    max_body_bytes: Annotated[
        int,
        Meta(
            description="Size of a request's body; less than a frame of the wire (1 MiB).",
            ge=1_000,
            le=1_000_000,
        ),
    ] = 900_000
    max_control_bytes: Annotated[
        int,
        Meta(
            description="The same of the control socket, which is this account's alone: a face "
            "sends a whole conversation, and what is to be kept of it.",
            ge=1_000,
            le=256 * 1024**2,
        ),
    ] = 16 * 1024**2
    max_header_bytes: Annotated[
        int, Meta(description="Size of a request's line and headers.", ge=1_000, le=1_000_000)
    ] = 32_768
    max_headers: Annotated[int, Meta(description="Headers of a request.", ge=20, le=10_000)] = 100
    tls_handshake_seconds: Annotated[
        Seconds, Meta(description="How long a TLS handshake may take, the whole of it.")
    ] = 10.0
    tls_reload_seconds: Annotated[
        Seconds,
        Meta(description="How often it is looked whether the certificate's files have changed."),
    ] = 60.0
    body_seconds: Annotated[
        Seconds, Meta(description="How long a request's body may take to arrive.")
    ] = 30.0
    keep_alive_seconds: Annotated[
        Seconds, Meta(description="How long a connection may be idle, or send no whole header.")
    ] = 60.0
    stalled_seconds: Annotated[
        Seconds, Meta(description="How long a reader may take nothing of what is sent to it.")
    ] = 60.0
    comment_seconds: Annotated[
        float,
        Meta(
            description="Pause after which a waiting stream is kept alive by a comment.",
            gt=0,
            le=15,  # a face calls a node silent after 30
        ),
    ] = 5.0
    call_seconds: Annotated[
        Seconds, Meta(description="How long a small question, such as the models, may take.")
    ] = 10.0
    deadline_seconds: Annotated[
        Seconds, Meta(description="How long an answer may take when the request does not say.")
    ] = 600.0

    @property
    def control_by_port(self) -> bool:
        """Whether the control API is on a port rather than a Unix socket."""
        return self.control == "port" or (self.control == "auto" and not hasattr(socket, "AF_UNIX"))

    @property
    def may_go_beyond(self) -> bool:
        """Whether the front door may listen beyond loopback."""
        return bool(self.tls_certificate or self.tls_key) or self.plain_beyond_loopback

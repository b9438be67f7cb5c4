"""The settings of a gateway's accounts. Times are in seconds."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from aiplat.domain.accounts import MAX_LIMIT, Limits

Limit = Annotated[int, Meta(ge=0, le=MAX_LIMIT)]


class AccountsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who may ask a gateway, how much, and how long what they did is kept."""

    SECTION: ClassVar[str] = "accounts"

    registration: Annotated[
        Literal["closed", "invite", "open"],
        Meta(description="Who may make an account: nobody; who has a code of `aiplat users "
             "invite`; everyone who reaches this gateway."),
    ] = "closed"  # fmt: skip
    keyless: Annotated[
        Literal["members", "none"],
        Meta(description="Who may ask over a channel without a key: certified members of the "
             "network (without a network: peers of this machine), or nobody. It is `none` on a "
             "public network, and while registration is not closed."),
    ] = "members"  # fmt: skip
    requests_per_minute: Annotated[
        Limit,
        Meta(description="Default of a user, and of a peer without a key; 0 for no limit."),
    ] = 6_000
    tokens_per_minute: Annotated[Limit, Meta(description="The same, of prompts and answers.")] = (
        2_000_000
    )
    concurrent: Annotated[Limit, Meta(description="The same, requests under way at once.")] = 256
    tokens_per_month: Annotated[Limit, Meta(description="The same, in a calendar month (UTC).")] = 0
    reserved_tokens: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Tokens of an answer that are held back for a request "
             "without max_tokens, and each time that its answer grows beyond that."),
    ] = 1024  # fmt: skip
    flush_seconds: Annotated[
        float,
        Meta(gt=0, le=5, description="How long counted tokens may wait for the disk: what a "
             "killed gateway loses at most."),
    ] = 0.2  # fmt: skip
    max_unwritten: Annotated[
        int,
        Meta(ge=10, le=1_000_000, description="Events that wait for the disk, after which nothing "
             "is admitted until they are written."),
    ] = 10_000  # fmt: skip
    events_days: Annotated[
        int,
        Meta(ge=0, le=36_500, description="How long single requests are kept; later their daily "
             "sums alone. 0 for ever."),
    ] = 90  # fmt: skip
    audit_days: Annotated[
        int, Meta(ge=1, le=36_500, description="How long the audit log is kept.")
    ] = 730
    audit_rows: Annotated[
        int,
        Meta(ge=1000, le=100_000_000, description="Entries of the audit log; beyond that the "
             "oldest go before their time."),
    ] = 1_000_000  # fmt: skip
    session_days: Annotated[int, Meta(ge=1, le=3650, description="How long a log-in holds.")] = 30
    open_seconds: Annotated[
        int, Meta(ge=10, le=3600, description="How long the one-time link of `aiplat open` holds.")
    ] = 120
    max_open_links: Annotated[
        int,
        Meta(ge=1, le=1000, description="Those links that hold at once; the oldest gives way."),
    ] = 10
    registrations_per_minute: Annotated[
        int,
        Meta(ge=1, le=100_000, description="How many may try to make an account within a minute; "
             "one more is told when to come back."),
    ] = 30  # fmt: skip
    registrations_per_peer: Annotated[
        int, Meta(ge=1, le=100_000, description="Of those, how many from one peer.")
    ] = 5
    changes_per_minute: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Log-ins of one account within a minute, and changes "
             "that it makes to accounts and keys. What ends something is not counted, nor what the "
             "owner does at the gateway's machine."),
    ] = 60  # fmt: skip
    max_users: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Accounts; one more is refused.")
    ] = 100_000
    max_keys_per_user: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Keys of one account that hold.")
    ] = 100
    max_sessions_per_user: Annotated[
        int, Meta(ge=1, le=1000, description="Log-ins of one account; the oldest gives way.")
    ] = 20
    hashing: Annotated[
        int,
        Meta(ge=1, le=64, description="Passwords that are hashed at once, each with 64 MiB and "
             "0.1 s of a CPU. One peer may have a fourth of these and of those that wait."),
    ] = 2  # fmt: skip
    max_hashing: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Of those, how many may wait; one more is refused."),
    ] = 16

    @property
    def limits(self) -> Limits:
        """The defaults, where 0 is none."""
        return Limits(
            requests_per_minute=self.requests_per_minute or None,
            tokens_per_minute=self.tokens_per_minute or None,
            concurrent=self.concurrent or None,
            tokens_per_month=self.tokens_per_month or None,
        )

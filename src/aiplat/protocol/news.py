"""What a peer may say of itself on a channel: in sizes that a node can keep, and people read."""

from __future__ import annotations

from aiplat.protocol.errors import Violation
from aiplat.protocol.membership import MAX_SEALED
from aiplat.protocol.messages import Addresses, Announce, Drain, Hello, Message, Revocations
from aiplat.protocol.offers import check_announce

MAX_ADDRESSES = 64
MAX_ADDRESS = 500
MAX_AGENT = 200
MAX_CAPABILITIES = 64
MAX_CAPABILITY = 100
MAX_CERTIFICATE = 16 * 1024
MAX_REASON = 500
MAX_GRACE_MS = 24 * 3600 * 1000
MAX_SIGNED = MAX_SEALED


def check_news(message: Message) -> None:
    """Check a message that speaks of the peer or its network.

    Raises:
        Violation: it is larger than it may be, or says what cannot be.
    """
    if isinstance(message, Announce):
        check_announce(message)
    elif isinstance(message, Addresses):
        _check_addresses(message)
    elif isinstance(message, Revocations):
        if not 1 <= len(message.signed) <= MAX_SIGNED:
            raise Violation(
                f"Revocations of {len(message.signed)} bytes; 1 to {MAX_SIGNED} are allowed"
            )
    elif isinstance(message, Drain):
        if not 0 <= message.grace_ms <= MAX_GRACE_MS or len(message.reason) > MAX_REASON:
            raise Violation("a Drain with a grace or a reason out of bounds")
    elif isinstance(message, Hello):
        _check_hello(message)


def _check_addresses(message: Addresses) -> None:
    count = len(message.addresses)
    if count > MAX_ADDRESSES:
        raise Violation(f"{count} Addresses; {MAX_ADDRESSES} are allowed")
    longest = max(map(len, message.addresses), default=0)
    if longest > MAX_ADDRESS or not all(map(str.isprintable, message.addresses)):
        raise Violation(f"an address that cannot be one, of {longest} characters")


def _check_hello(hello: Hello) -> None:
    if len(hello.agent) > MAX_AGENT or not hello.agent.isprintable():
        raise Violation("a Hello whose agent cannot be shown")
    if len(set(hello.roles)) != len(hello.roles):
        raise Violation("a Hello that names a role twice")
    capabilities = hello.capabilities
    longest = max(map(len, capabilities), default=0)
    if len(capabilities) > MAX_CAPABILITIES or longest > MAX_CAPABILITY:
        raise Violation(f"a Hello of {len(capabilities)} capabilities, up to {longest} characters")
    if len(hello.certificate) > MAX_CERTIFICATE:
        raise Violation(f"a Hello with a certificate of {len(hello.certificate)} bytes")

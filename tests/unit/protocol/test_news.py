"""What a peer says of itself, at its bounds and over them."""

from __future__ import annotations

import pytest

from aiplat.protocol.channel import ChannelMachine
from aiplat.protocol.errors import LocalProtocolError, RemoteProtocolError
from aiplat.protocol.messages import CODEC, Addresses, Drain, Hello, Message, Revocations
from aiplat.protocol.news import (
    MAX_ADDRESS,
    MAX_ADDRESSES,
    MAX_AGENT,
    MAX_CAPABILITIES,
    MAX_CERTIFICATE,
    MAX_GRACE_MS,
    MAX_REASON,
    MAX_SIGNED,
    check_news,
)


def open_machine() -> ChannelMachine:
    machine = ChannelMachine(initiator=True, hello=Hello())
    machine.hello()
    machine.receive(CODEC.encode(Hello()))
    return machine


AT_THE_BOUND = [
    Addresses(("a" * MAX_ADDRESS,) * MAX_ADDRESSES),
    Addresses(()),
    Revocations(b"x"),
    Drain(MAX_GRACE_MS, "r" * MAX_REASON),
    Drain(0),
]

OVER_IT = [
    (Addresses(("/a",) * (MAX_ADDRESSES + 1)), "65 Addresses; 64 are allowed"),
    (Addresses(("a" * (MAX_ADDRESS + 1),)), "an address that cannot be one"),
    (Addresses(("/a\n",)), "an address that cannot be one"),
    (Revocations(b""), "Revocations of 0 bytes"),
    (Drain(-1), "a Drain with a grace"),
    (Drain(MAX_GRACE_MS + 1), "a Drain with a grace"),
    (Drain(0, "r" * (MAX_REASON + 1)), "a Drain with a grace"),
]


@pytest.mark.parametrize("message", AT_THE_BOUND, ids=repr)
def test_what_may_be_said(message: Message) -> None:
    machine = open_machine()
    [received] = machine.receive(CODEC.encode(message))
    assert received.message == message


@pytest.mark.parametrize(("message", "says"), OVER_IT, ids=lambda value: repr(value)[:40])
def test_what_may_not(message: Message, says: str) -> None:
    with pytest.raises(LocalProtocolError, match=says):
        open_machine().send(message)
    with pytest.raises(RemoteProtocolError, match=says):
        open_machine().receive(CODEC.encode(message))


def test_a_list_of_the_revoked_has_a_bound_whatever_a_frame_may_have() -> None:
    check_news(Revocations(bytes(MAX_SIGNED)))
    with pytest.raises(Exception, match=f"Revocations of {MAX_SIGNED + 1} bytes"):
        check_news(Revocations(bytes(MAX_SIGNED + 1)))


@pytest.mark.parametrize(
    ("hello", "says"),
    [
        (Hello(agent="a" * (MAX_AGENT + 1)), "whose agent"),
        (Hello(agent="a\x1b[2J"), "whose agent"),
        (Hello(roles=("client", "client")), "names a role twice"),
        (Hello(capabilities=("c",) * (MAX_CAPABILITIES + 1)), "65 capabilities"),
        (Hello(capabilities=("c" * 101,)), "up to 101 characters"),
        (Hello(certificate=bytes(MAX_CERTIFICATE + 1)), "with a certificate of 16385 bytes"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_hello_that_nobody_could_keep(hello: Hello, says: str) -> None:
    machine = ChannelMachine(initiator=False, hello=Hello())
    with pytest.raises(RemoteProtocolError, match=says):
        machine.receive(CODEC.encode(hello))

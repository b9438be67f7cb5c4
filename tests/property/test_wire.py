"""The wire against bytes that are cut anywhere, and against rubbish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.protocol.channel import ChannelMachine
from aiplat.protocol.errors import LocalProtocolError, RemoteProtocolError
from aiplat.protocol.framing import FrameReader
from aiplat.protocol.messages import Ack, Announce, Cancel, Hello, Message, Ping
from tests.support.dialogue import Dialogue, delta, finished, started, submission


def recorded() -> tuple[bytes, int]:
    """Everything that one side says in a busy conversation, and how many messages that is."""
    talk = Dialogue()
    said = [talk.left.machine.send(Ping(1)), talk.left.machine.send(Announce(revision=3))]
    for _ in range(3):
        number = talk.right.submits(submission())
        said += [
            talk.left.machine.send(event, number)
            for event in (started(), delta(1, text="é"), delta(2, 3), finished(3))
        ]
    return b"".join(said), len(said)


def listener() -> ChannelMachine:
    """The other side of `recorded`."""
    machine = ChannelMachine(initiator=False, hello=Hello())
    machine.hello()
    sender = ChannelMachine(initiator=True, hello=Hello())
    machine.receive(sender.hello())
    for _ in range(3):
        machine.submit(submission())
    return machine


@given(st.lists(st.integers(1, 60), max_size=200))
def test_bytes_cut_anywhere_give_the_same_messages(cuts: list[int]) -> None:
    said, count = recorded()
    whole = listener().receive(said)
    assert len(whole) == count
    machine, heard, at = listener(), [], 0
    for size in [*cuts, len(said)]:
        heard += machine.receive(said[at : at + size])
        at += size
    heard += machine.receive(said[at:])
    assert heard == whole


@given(st.binary(max_size=300))
def test_rubbish_is_one_remote_error_or_nothing_yet(rubbish: bytes) -> None:
    machine = listener()
    try:
        machine.receive(rubbish)
    except RemoteProtocolError:
        with pytest.raises(RemoteProtocolError):
            machine.receive(b"")


@given(st.integers(0, 2**16), st.integers(0, 255))
def test_a_flipped_byte_never_raises_anything_else(at: int, value: int) -> None:
    said, _ = recorded()
    broken = bytearray(said)
    broken[at % len(said)] = value
    try:
        listener().receive(bytes(broken))
    except RemoteProtocolError:
        pass


@given(st.sampled_from([1, 2, 10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22, 23]), st.binary())
def test_a_true_frame_around_a_false_body(tag: int, body: bytes) -> None:
    frame = (5 + len(body)).to_bytes(4, "big") + bytes([tag]) + (1).to_bytes(4, "big") + body
    try:
        listener().receive(frame)
    except RemoteProtocolError:
        pass


def test_a_body_nested_without_end_is_refused() -> None:
    deep = b"\x84\xa2id\xa1x\xa2to\xa7gateway\xa5model\xa1x\xa4work\x83\xa4type\xa8generate"
    deep += b"\xa8messages\x90\xa5tools\x91\x81\xa1a" + b"\x91" * 100_000 + b"\xc0"
    frame = (5 + len(deep)).to_bytes(4, "big") + b"\x0a" + (1).to_bytes(4, "big") + deep
    with pytest.raises(RemoteProtocolError):
        listener().receive(frame)


@given(st.integers(0, 4), st.integers(2**20 + 1, 2**32 - 1))
def test_a_length_out_of_bounds_is_refused_before_its_bytes_come(low: int, high: int) -> None:
    for length in (low, high):
        with pytest.raises(RemoteProtocolError, match=f"says that it has {length} bytes"):
            FrameReader().feed(length.to_bytes(4, "big"))


@given(
    st.lists(
        st.sampled_from(
            [started(), delta(1), delta(2, text=""), finished(1), Ack(1, 4), Cancel(), Ping(1)]
        ),
        max_size=12,
    )
)
def test_what_one_machine_lets_out_the_other_lets_in(script: list[Message]) -> None:
    """Both ends hold the same rules: nothing that may be sent is refused at arrival."""
    talk = Dialogue()
    number = talk.left.submits(submission(credit=24))
    for message in script:
        side = talk.left if isinstance(message, Ack | Cancel) else talk.right
        try:
            frame = side.machine.send(message, 0 if isinstance(message, Ping) else number)
        except LocalProtocolError:
            continue
        side.other.hears(frame)

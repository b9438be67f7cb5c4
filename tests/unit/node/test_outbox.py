"""The outbox: what leaves together, what goes first, and what keeps its order."""

from __future__ import annotations

from aiplat.node.outbox import Outbox


def drain(outbox: Outbox) -> list[bytes]:
    """Every write, in order."""
    writes = []
    while outbox:
        writes.append(outbox.take())
    return writes


def test_frames_that_are_ready_together_leave_in_one_write() -> None:
    outbox = Outbox(100, 50)
    for number in range(5):
        outbox.put(bytes([number]) * 10, number)
    assert drain(outbox) == [b"".join(bytes([n]) * 10 for n in range(5))]
    assert outbox.size == 0


def test_no_write_is_over_its_bound_and_no_byte_is_lost() -> None:
    outbox = Outbox(100, 50)
    frames = [bytes([n]) * (7 * n + 1) for n in range(60)]
    for number, frame in enumerate(frames):
        outbox.put(frame, number)
    assert outbox.size == sum(map(len, frames))
    writes = drain(outbox)
    assert max(map(len, writes)) <= 100
    assert sorted(b"".join(writes)) == sorted(b"".join(frames))
    assert outbox.size == 0


def test_small_frames_go_between_big_ones() -> None:
    """A bulk lane: in one queue, small calls waited behind megabytes."""
    outbox = Outbox(100, 50)
    outbox.put(b"A" * 150, 1)
    outbox.put(b"B" * 150, 2)
    assert outbox.take() == b"A" * 100
    outbox.put(b"ping", None)
    assert outbox.take() == b"A" * 50 + b"ping" + b"B" * 46  # never inside a frame
    outbox.put(b"pong", None)
    assert drain(outbox) == [b"B" * 100, b"B" * 4 + b"pong"]


def test_a_request_keeps_its_order_behind_its_big_frame() -> None:
    """A Cancel that overtakes its Submission would be a violation at the peer."""
    outbox = Outbox(100, 50)
    outbox.put(b"S" * 150, 1, opens=True)
    outbox.put(b"cancel", 1)
    outbox.put(b"other", 2)
    assert b"".join(drain(outbox)) == b"other" + b"S" * 150 + b"cancel"


def test_openings_keep_their_order() -> None:
    """The numbers of requests may only grow, so a short prompt stays behind a long one."""
    outbox = Outbox(100, 50)
    outbox.put(b"L" * 150, 1, opens=True)
    outbox.put(b"s", 3, opens=True)
    outbox.put(b"t", 5, opens=True)
    assert b"".join(drain(outbox)) == b"L" * 150 + b"st"
    outbox.put(b"u", 7, opens=True)
    assert outbox.take() == b"u"


def test_last_words_are_last() -> None:
    outbox = Outbox(100, 50)
    outbox.put(b"big" * 50, 1)
    outbox.put_last(b"bye")
    outbox.put(b"small", 2)
    assert b"".join(drain(outbox)) == b"small" + b"big" * 50 + b"bye"


def test_clearing_keeps_the_rest_of_a_frame_that_has_begun() -> None:
    """Else the peer would read the last words as the middle of that frame."""
    outbox = Outbox(100, 50)
    outbox.put(b"A" * 150, 1)
    outbox.put(b"B" * 150, 2)
    outbox.take()
    outbox.clear()
    outbox.put_last(b"bye")
    assert drain(outbox) == [b"A" * 50 + b"bye"]
    assert outbox.size == 0

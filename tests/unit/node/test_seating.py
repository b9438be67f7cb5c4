"""Who has room: members before strangers, who have no more than their share."""

from __future__ import annotations

from typing import Any

from aiplat.node.seating import Seating
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import Hello
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_channel import FakeChannel

MEMBER, STRANGER = Hello(certificate=b"shown"), Hello()


class Sitting(FakeChannel):
    """A channel from somewhere, with so many requests."""

    def __init__(self, hello: Hello, ip: str = "10.0.0.1", *, active: int = 0, at: float = 0.0):
        super().__init__("peer", "client")
        self.hello = hello
        self.address = f"/ip4/{ip}/tcp/4001"
        self.active = active
        self.opened = at

    def close(self, code: str, message: str) -> None:
        super().close(code, message)
        self.is_ended = True


class Room:
    """A node's channels, and what it says to who comes."""

    def __init__(self, *there: Sitting, public: bool = True, **settings: Any) -> None:
        self.metrics = Metrics()
        self.there: list[Any] = list(there)
        self.seating = Seating(
            NodeSettings(**settings), self.metrics, lambda: self.there, lambda: public
        )

    def says(self, hello: Hello, ip: str = "10.0.0.9") -> str:
        refusal = self.seating.refusal(hello, f"/ip4/{ip}/tcp/4001")
        return "" if refusal is None else refusal.message

    def hits(self, bound: str) -> float:
        found = self.metrics.registry.get_sample_value("aiplat_bound_hits_total", {"bound": bound})
        return found or 0.0


def test_a_share_is_kept_for_members() -> None:
    room = Room(*(Sitting(STRANGER) for _ in range(3)), max_channels=4)
    assert "without a certificate" in room.says(STRANGER)
    assert room.hits("channels_of_strangers") == 1
    assert room.says(MEMBER) == ""
    assert not any(channel.closed for channel in room.there)
    assert Room(max_channels=1).says(STRANGER) == "", "and strangers have one at least"


def test_a_stranger_without_work_gives_way_to_a_member() -> None:
    busy = Sitting(STRANGER, "10.0.0.1", active=1)
    early, late = Sitting(STRANGER, "10.0.0.1", at=1), Sitting(STRANGER, "10.0.0.1", at=2)
    alone = Sitting(STRANGER, "10.0.0.2")
    room = Room(Sitting(MEMBER), busy, late, early, alone, max_channels=5)
    assert room.says(MEMBER) == ""
    assert early.closed == "refused", "of the source with most, who was there longest"
    assert not any(c.closed for c in room.there if c is not early)
    assert room.hits("channels_gave_way") == 1


def test_members_and_work_are_left_alone() -> None:
    room = Room(Sitting(MEMBER), Sitting(STRANGER, active=1), max_channels=2)
    assert "as many channels as it allows" in room.says(MEMBER)
    assert not room.seating.make_room()
    assert not any(channel.closed for channel in room.there)
    assert room.hits("channels") == 2


def test_strangers_of_one_source_have_so_many() -> None:
    room = Room(Sitting(STRANGER), Sitting(MEMBER, "10.0.0.3"), max_channels_per_source=1)
    assert "max_channels_per_source" in room.says(STRANGER, "10.0.0.1")
    assert room.hits("channels_per_source") == 1
    assert room.says(STRANGER, "10.0.0.2") == ""
    assert room.says(STRANGER, "10.0.0.3") == "", "a member there does not count"
    assert room.says(MEMBER, "10.0.0.1") == ""


def test_where_no_strangers_are_all_are_alike() -> None:
    room = Room(Sitting(STRANGER), public=False, max_channels=2, max_channels_per_source=1)
    assert room.says(STRANGER, "10.0.0.1") == ""
    room.there.append(Sitting(STRANGER))
    assert "as many channels as it allows" in room.says(STRANGER)

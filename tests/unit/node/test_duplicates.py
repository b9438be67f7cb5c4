"""Two channels to one peer: both ends keep the same one."""

from __future__ import annotations

import pytest

from aiplat.domain.ids import PeerId
from aiplat.node.duplicates import Claim, replaces

A, B = PeerId("A"), PeerId("B")


@pytest.mark.parametrize("us", [A, B])
def test_the_one_that_the_smaller_id_dialed_stays(us: PeerId) -> None:
    peer = B if us == A else A
    by_a, by_b = Claim(1, A), Claim(1, B)
    assert replaces(by_a, by_b, us, peer)
    assert not replaces(by_b, by_a, us, peer)


@pytest.mark.parametrize("dialer", [A, B])
def test_a_newer_life_replaces_an_older_one_whoever_dialed(dialer: PeerId) -> None:
    for other in (A, B):
        assert replaces(Claim(2, dialer), Claim(1, other), A, B)
        assert not replaces(Claim(1, dialer), Claim(2, other), A, B)


def test_who_dials_twice_has_lost_the_first() -> None:
    assert replaces(Claim(1, B), Claim(1, B), A, B)

"""A gateway that has nobody for a request is not its end while another has: real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.support.nodes import aiplat


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["drain", "block"])
def test_who_drained_or_blocked_the_processor_is_passed_over(tmp_path: Path, verb: str) -> None:
    with Fleet(tmp_path) as fleet:
        fleet.found("g1", "--role", "gateway")
        fleet.member("g2", "gateway")
        processor = fleet.member("p", "processor", "--model", "echo")
        fleet.member("c", "client")
        for gateway in ("g1", "g2"):
            fleet.wait_until_sees(gateway, "p", "c")
        for gateway in ("g1", "g2"):
            done = aiplat(fleet.home(gateway), verb, processor.peer_id)
            assert done.returncode == 0, done.stderr
            if gateway == "g1":
                done = aiplat(fleet.home("c"), "ask", "--model", "echo", "hi")
                assert done.returncode == 0, done.stderr
        done = aiplat(fleet.home("c"), "ask", "--model", "echo", "hi")
        assert done.returncode == 4, (done.stdout, done.stderr)
        said = " ".join(done.stderr.split())
        assert "Tried too: the gateway" in said
        names = [fleet[gateway].peer_id[-8:] for gateway in ("g1", "g2")]
        assert all(name in said for name in names), said
        why = "was drained here" if verb == "drain" else "The node blocks the peer"
        assert why in said

"""When a certificate is renewed, on clocks set by hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from aiplat.domain.errors import ConfigError
from aiplat.node.membership.owner import CERTIFICATE_SECONDS
from aiplat.node.membership.service import FIRST_PAUSE_SECONDS, MembershipService
from aiplat.node.settings import NodeSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.networks import Lab


@pytest.mark.trio
async def test_a_clock_that_is_early_does_not_ask_without_a_pause(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The owner gives the same certificate again: by its clock it is not time."""
    lab = Lab(tmp_path)
    _, membership = lab.member("processor")
    now = lab.clock.now + CERTIFICATE_SECONDS * 0.6
    membership.clock = lambda: now
    service = MembershipService(membership, Metrics(), dict, tuple)
    asked: list[float] = []

    async def renew() -> bool:
        asked.append(trio.current_time())
        assert len(asked) < 10
        return True

    service.renew = renew  # type: ignore[method-assign]  # what the owner says is not in question
    host: Any = SimpleNamespace(settings=NodeSettings(), handle=lambda *_: None)
    with trio.move_on_after(4 * FIRST_PAUSE_SECONDS):
        await service.run(host)
    pauses = [after - before for before, after in pairwise(asked)]
    assert pauses == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS]


@pytest.mark.trio
async def test_a_full_disk_ends_no_renewal(tmp_path: Path, autojump_clock: MockClock) -> None:
    lab = Lab(tmp_path)
    _, membership = lab.member("processor")
    membership.clock = lambda: lab.clock.now + CERTIFICATE_SECONDS * 0.6
    service = MembershipService(membership, Metrics(), dict, tuple)
    asked: list[float] = []

    async def renew() -> bool:
        asked.append(trio.current_time())
        raise ConfigError("network.json cannot be written: No space left on device.")

    service.renew = renew  # type: ignore[method-assign]  # what a disk says
    host: Any = SimpleNamespace(settings=NodeSettings(), handle=lambda *_: None)
    with trio.move_on_after(4 * FIRST_PAUSE_SECONDS):
        await service.run(host)
    assert len(asked) == 3

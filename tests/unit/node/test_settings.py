"""Settings that only make sense together."""

from __future__ import annotations

import pytest

from aiplat.node.settings import NodeSettings


def test_silence_is_longer_than_a_heartbeat() -> None:
    with pytest.raises(ValueError, match="at least twice heartbeat_seconds, 1"):
        NodeSettings(silence_seconds=0.5)
    NodeSettings(silence_seconds=2.0)


def test_the_longest_pause_is_the_longest() -> None:
    with pytest.raises(ValueError, match="at least reconnect_min_seconds, 9"):
        NodeSettings(reconnect_min_seconds=9.0)

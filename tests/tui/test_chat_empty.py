"""What an empty conversation says, by who would answer."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.control.messages import ModelStatus, PeerStatus
from aiplat.tui.chat.empty import empty_words
from aiplat.tui.topbar import node_words
from aiplat.tui.world import World
from tests.support.screens import ScriptedLink, StillClock, status

GATEWAY = PeerStatus(peer_id="12D3KooWGate", roles=("gateway",))
AFAR = PeerStatus(peer_id="12D3KooWProc", roles=("processor",), models=("org/x",),
                  seen_by="12D3KooWGate")  # fmt: skip
CLIENT: dict[str, Any] = {"roles": ("client",), "models": ()}


def _world(**changes: Any) -> World:
    world = World(ScriptedLink(), None, StillClock(), lambda: None)
    world.phase, world.status = "attached", status(**changes)
    return world


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Ready: smollm2-135m"),
        ({**CLIENT, "peers": (GATEWAY, AFAR)}, "Ready: org/x"),
        ({**CLIENT, "peers": (GATEWAY,)}, "Ready: a gateway answers."),
        ({**CLIENT, "peers": ()}, "No gateway is reached yet."),
        ({**CLIENT, "peers": (AFAR,)}, "No gateway is reached yet."),
        ({"models": ()}, "No processor with a model is there."),
        ({"models": (ModelStatus(name="m", state="failed"),)}, "m is failed"),
    ],
)
def test_who_answers_is_said(changes: dict[str, Any], said: str) -> None:
    assert said in empty_words(_world(**changes), str).plain


def test_keys_are_told_as_they_are_set() -> None:
    assert "<chat.pick>" in empty_words(_world(), lambda name: f"<{name}>").plain
    text = empty_words(_world(models=()), lambda name: f"<{name}>").plain
    assert "<peers.doctor> in Peers (<app.peers>)" in text


def test_the_top_bar_counts_no_models_where_a_gateway_has_them() -> None:
    loading = ModelStatus(name="m", state="loading")
    text = node_words(_world(roles=("client", "processor"), models=(loading,)), 90).plain
    assert "0 models" not in text
    assert "0 models" in node_words(_world(models=(loading,)), 90).plain
    assert "1 model" in node_words(_world(), 90).plain

"""The network: peers, models and load, as it is now."""

from __future__ import annotations

import trio
from starlette.responses import Response

from aiplat.control.messages import ModelStatus, PeerStatus
from aiplat.domain.errors import AiplatError
from aiplat.http.dashboard.forms import Problem
from aiplat.http.dashboard.models import known_models
from aiplat.http.dashboard.pages import Page
from aiplat.http.dashboard.rendering import render
from aiplat.http.dashboard.visit import Visit

MOST = 500
"""Peers that one page shows."""


def network_page() -> Page:
    """The page."""
    return Page("/network", "user", _page)


def network_part() -> Page:
    """The part of it that changes, which the page asks for again and again."""
    return Page("/network/live", "user", _part)


async def _page(visit: Visit, problem: Problem) -> Response:
    return await _show(visit, problem, "network.html")


async def _part(visit: Visit, problem: Problem) -> Response:
    return await _show(visit, problem, "network_live.html")


async def _show(visit: Visit, problem: Problem, template: str) -> Response:
    """Addresses are for operators: of others' machines users need to know no more than the load."""
    models, no_models = await known_models(visit)
    peers, no_peers = await _peers(visit)
    return render(
        visit, template, problem, models=models, no_models=no_models, peers=peers[:MOST],
        more=max(0, len(peers) - MOST), no_peers=no_peers, load=_load(models),
        status=visit.around.operations.status(), now=visit.around.wall(),
        is_operator=visit.me.user.role == "operator",
    )  # fmt: skip


async def _peers(visit: Visit) -> tuple[tuple[PeerStatus, ...], str]:
    around = visit.around
    try:
        with trio.move_on_after(around.call_seconds):
            return (await around.operations.peers()).peers, ""
    except AiplatError as error:
        return (), str(error)
    return (), f"The peers were not told within {around.call_seconds:g} seconds."


def _load(models: tuple[ModelStatus, ...]) -> dict[str, int]:
    """What all models have to do, in all."""
    return {
        name: sum(getattr(model, name) for model in models)
        for name in ("slots", "running", "waiting")
    }

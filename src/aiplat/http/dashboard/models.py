"""The models that pages offer: those that the node may ask, where it can say."""

from __future__ import annotations

import trio

from aiplat.control.messages import ModelStatus
from aiplat.domain.errors import AiplatError
from aiplat.http.dashboard.visit import Visit


async def known_models(visit: Visit) -> tuple[tuple[ModelStatus, ...], str]:
    """All models, and why there are none, in words; empty where there is nothing to say."""
    around = visit.around
    try:
        with trio.move_on_after(around.call_seconds):
            return await around.operations.models(), ""
    except AiplatError as error:
        return (), str(error)
    return (), f"The models were not told within {around.call_seconds:g} seconds."


def generating(models: tuple[ModelStatus, ...]) -> tuple[ModelStatus, ...]:
    """Those that answer conversations, without those that are broken."""
    return tuple(model for model in models if model.generates and model.state != "failed")

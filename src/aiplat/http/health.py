"""Whether the node lives, whether it can serve, and its metrics."""

from __future__ import annotations

import msgspec
import trio
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from aiplat.control.ports import NodeOperations
from aiplat.http.asgi import Request
from aiplat.telemetry.metrics import Metrics

_ALIVE = msgspec.json.encode({"status": "ok"})


class Health:
    """``/healthz``, ``/health`` and ``/readyz``: open, and without a call to a model."""

    def __init__(self, operations: NodeOperations) -> None:
        self._operations = operations

    async def alive(self, request: Request) -> None:
        """The loop turns, or this would not be sent."""
        await request.reply(200, _ALIVE)

    async def ready(self, request: Request) -> None:
        """200 when it can serve; else 503, with what is missing in words."""
        missing = self._operations.missing()
        if not missing:
            await request.reply(200, msgspec.json.encode({"status": "ready", "missing": []}))
            return
        body = msgspec.json.encode({"status": "not ready", "missing": missing})
        await request.reply(503, body, headers=((b"retry-after", b"2"),))


class MetricsPage:
    """``/metrics``, in the form of Prometheus. Made in a thread, one at a time: it takes 56 ms."""

    def __init__(self, metrics: Metrics) -> None:
        self._registry = metrics.registry
        self._one = trio.CapacityLimiter(1)

    async def __call__(self, request: Request) -> None:
        """Answer with all metrics."""
        page = await trio.to_thread.run_sync(generate_latest, self._registry, limiter=self._one)
        await request.reply(200, page, CONTENT_TYPE_LATEST.encode())

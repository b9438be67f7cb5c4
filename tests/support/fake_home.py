"""A home whose node is a `FakeNode`: its control socket and its lock, for commands to find."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from aiplat.http.app import make_control_app
from aiplat.http.serving import serve_control
from aiplat.http.settings import HttpSettings
from aiplat.runtime.lock import NodeLock
from aiplat.runtime.places import find_places
from tests.support.fake_node import FakeNode


@contextmanager
def node_at(home: Path, node: FakeNode) -> Iterator[FakeNode]:
    """Serve the real control API of a fake node at `home` while the block lasts."""
    places = find_places(str(home), {})
    places.prepare()
    path = places.place_control()
    serving = threading.Event()
    ends: list[tuple[trio.lowlevel.TrioToken, trio.Event]] = []

    async def serve() -> None:
        closing = trio.Event()
        ends.append((trio.lowlevel.current_trio_token(), closing))
        settings = HttpSettings()
        async with trio.open_nursery() as nursery:

            async def run(*, task_status: trio.TaskStatus[str]) -> None:
                await serve_control(
                    make_control_app(node, settings), path, settings,
                    shutdown_trigger=closing.wait, task_status=task_status,
                )  # fmt: skip

            await nursery.start(run)
            serving.set()
            await closing.wait()
            nursery.cancel_scope.cancel()

    with NodeLock(places.node_lock, background=False):
        thread = threading.Thread(target=trio.run, args=(serve,))
        thread.start()
        try:
            assert serving.wait(60)
            yield node
        finally:
            token, closing = ends[0]
            token.run_sync_soon(closing.set)
            thread.join(10)

"""Runs what blocks in a thread that nobody waits for at the end of the program."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


async def in_thread(work: Callable[[], Value]) -> Value:
    """Give what `work` gives, or raise what it raises; the loop goes on meanwhile.

    Unlike `asyncio.to_thread` it keeps no one from leaving: the thread is a daemon.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Value] = loop.create_future()

    def tell(value: Value | None, fault: BaseException | None) -> None:
        if future.done():
            return
        if fault is not None:
            future.set_exception(fault)
        else:
            future.set_result(value)  # type: ignore[arg-type]  # None only where Value is

    def run() -> None:
        value: Value | None = None
        fault: BaseException | None = None
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001  # it is raised again where it was asked for
            fault = error
        try:
            loop.call_soon_threadsafe(tell, value, fault)
        except RuntimeError:
            pass  # the program left meanwhile

    threading.Thread(target=run, daemon=True).start()
    return await future

"""A closed loop of requests, and what it measures: the same for every contender in Python."""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import trio

BODY = b"x" * 200
Begin = Callable[[Callable[[], None]], None]
"""Sends one request, and calls what it was given when its answer is there."""

Command = Callable[..., Awaitable[dict[str, Any]]]


async def rate(begin: Begin, at_once: int, seconds: float) -> dict[str, Any]:
    """Keep so many requests under way for so long.

    Arguments:
        begin: sends one.
        at_once: how many.
        seconds: after which no new one is begun.
    """
    times: list[float] = []
    over = trio.Event()
    clock = time.perf_counter
    began = clock()
    stop = began + seconds
    left = at_once

    def one() -> None:
        sent = clock()

        def done() -> None:
            nonlocal left
            now = clock()
            times.append(now - sent)
            if now < stop:
                one()
                return
            left -= 1
            if not left:
                over.set()

        begin(done)

    for _ in range(at_once):
        one()
    with trio.fail_after(seconds + 30):
        await over.wait()
    took = clock() - began
    return {"requests": len(times), "seconds": took} | percentiles(times)


def percentiles(seconds: list[float]) -> dict[str, float]:
    """The median and the 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return {
        "p50_ms": statistics.median(ordered) * 1000,
        "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000,
    }


async def obey(commands: dict[str, Command], **ready: Any) -> None:
    """Say that it is ready, then carry out what stdin says, a JSON object a line."""
    say({"ready": True} | ready)
    stdin = trio.lowlevel.FdStream(sys.stdin.fileno())
    rest = b""
    async for data in stdin:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            given = json.loads(line)
            say(await commands[given.pop("do")](**given))


def say(what: dict[str, Any]) -> None:
    if "ready" in what:  # as a node does when it is ready: see aiplat.runtime.run
        gc.collect()
        gc.freeze()
    print(json.dumps(what), flush=True)

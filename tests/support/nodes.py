"""Real nodes for tests: processes of their own, each with a home of its own."""

from __future__ import annotations

import functools
import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually

READY_SECONDS = 180.0
COMMAND = [sys.executable, "-m", "aiplat"]


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would change a node, and with `extra`.

    pytest sets the size of a terminal for its workers, which are no terminal's.
    """
    kept = {
        name: value for name, value in os.environ.items()
        if not name.startswith("AIPLAT_") and name not in ("COLUMNS", "LINES")
    }  # fmt: skip
    return kept | {"NO_COLOR": "1"} | extra


def aiplat(
    home: Path,
    *arguments: str,
    stdin: str | bytes = "",
    timeout: float = 120,
    prefix: tuple[str, ...] = (),
    **extra: str,
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, `prefix` before it; `extra` goes into its environment."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [*prefix, *COMMAND, "--home", str(home), *arguments],
        input=data,
        capture_output=True,
        timeout=timeout,
        env=environment(**extra),
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


class RunningNode:
    """`aiplat serve` in a process of its own; ready when the constructor returns."""

    def __init__(
        self,
        home: Path,
        *arguments: str,
        environ: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ):
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.stderr_path = home / "stderr.txt"
        self._stderr = self.stderr_path.open("ab")
        self.process = subprocess.Popen(
            [
                *prefix,
                *COMMAND,
                "--home",
                str(home),
                "serve",
                "--json",
                "--http",
                "127.0.0.1:0",
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment(**(environ or {})),
        )
        self.status: dict[str, Any] = json.loads(self._first_line(READY_SECONDS))

    def _first_line(self, seconds: float) -> bytes:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            self.kill()
            self.close()
            raise AssertionError(f"the node did not start: {self.stderr}")
        return line

    @property
    def stderr(self) -> str:
        """What it wrote for a person so far."""
        return self.stderr_path.read_text(errors="replace")

    @property
    def address(self) -> str:
        """Its best address."""
        return str(self.status["addresses"][0])

    @property
    def peer_id(self) -> str:
        return str(self.status["peer_id"])

    def now(self) -> dict[str, Any]:
        """Its status, asked afresh."""

        def told() -> subprocess.CompletedProcess[str] | None:
            done = aiplat(self.home, "status", "--json")
            return done if done.returncode == 0 else None  # a busy machine may take too long

        done = eventually(told)
        assert done is not None
        return json.loads(done.stdout)  # type: ignore[no-any-return]  # it is an object

    def request(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One HTTP request at its door, with its local token unless another is given."""
        with Door(self, token) as door:
            return door.request(method, path, body)

    @functools.cached_property
    def token(self) -> str:
        done = aiplat(self.home, "env", "--json")
        return str(json.loads(done.stdout)["OPENAI_API_KEY"])

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self, seconds: float = 60) -> int:
        """Ask it to end, and see that it does; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not stop within {seconds} s: {self.stderr}") from None

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it if it runs, and let go of its files."""
        try:
            if self.process.poll() is None:
                self.stop()
        finally:
            self._stderr.close()
            assert self.process.stdout is not None
            self.process.stdout.close()


class Door:
    """A kept-alive connection to a node's HTTP door. Use it as a context: it is closed after."""

    def __init__(self, node: RunningNode, token: str | None = None, timeout: float = 60):
        host, port = str(node.status["http"]).removeprefix("http://").rsplit(":", 1)
        self.connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
        self._token = node.token if token is None else token
        self._response: http.client.HTTPResponse | None = None

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave, whatever is still on its way."""
        if self._response is not None:
            self._response.close()
        self.connection.close()

    def send(self, method: str, path: str, body: object = None) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request(method, path, data, headers)
        self._response = self.connection.getresponse()
        return self._response

    def request(
        self, method: str, path: str, body: object = None
    ) -> tuple[int, dict[str, str], bytes]:
        response = self.send(method, path, body)
        data = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, data

    def stream(self, body: dict[str, Any]) -> Generator[tuple[float, Any], None, None]:
        """The `data:` lines of a streamed answer as (seconds on the clock, JSON or "[DONE]")."""
        response = self.send("POST", "/v1/chat/completions", body | {"stream": True})
        if response.status != 200:
            raise AssertionError(f"{response.status}: {response.read().decode()}")
        while line := response.readline():
            if line.startswith(b"data: "):
                data = line[6:].strip()
                parsed = "[DONE]" if data == b"[DONE]" else json.loads(data)
                yield time.monotonic(), parsed


def chat(content: str, model: str = "echo", **more: Any) -> dict[str, Any]:
    """The body of a chat request."""
    return {"model": model, "messages": [{"role": "user", "content": content}]} | more


def text_of(body: bytes) -> str:
    """The text of a chat completion."""
    return str(json.loads(body)["choices"][0]["message"]["content"])


def has_model(node: RunningNode, name: str = "echo") -> bool:
    """Whether a gateway can place on a processor with that model that is ready."""
    models = node.now()["models"]
    return any(model["name"] == name and model["state"] == "ready" for model in models)


def wait_for_model(node: RunningNode, name: str = "echo", seconds: float = 60) -> None:
    """Wait until a gateway has a processor with that model that is ready."""
    eventually(lambda: has_model(node, name), seconds, f"the model {name} at {node.peer_id}")

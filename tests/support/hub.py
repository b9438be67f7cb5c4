"""A small Hugging Face hub on loopback: lists, serves with ranges, and fails as it is told."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """What it serves, and what it has seen.

    Arguments:
        repos: folders by ``org/name``.

    Attributes:
        stalls: files of which nothing comes until `go_on` is set.
        statuses: answers for a repository: a status, with headers.
        asked: method, path and range of each request; `tokens` what was shown.
    """

    def __init__(self, repos: dict[str, Path]) -> None:
        self.repos = repos
        self.stalls: set[str] = set()
        self.go_on = threading.Event()
        self.statuses: dict[str, tuple[int, dict[str, str]]] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.tokens: set[str] = set()
        self.commit = COMMIT
        self.wrong: set[str] = set()
        self.url = ""

    def files(self, repo: str) -> list[dict[str, Any]]:
        """The siblings of a repository, with sizes and digests."""
        folder = self.repos[repo]
        found = []
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            data = path.read_bytes()
            name = str(path.relative_to(folder))
            one: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": "b" * 40}
            if path.suffix in (".safetensors", ".gguf", ".bin"):
                sha = "0" * 64 if name in self.wrong else hashlib.sha256(data).hexdigest()
                one["lfs"] = {"size": len(data), "sha256": sha, "pointerSize": 130}
            found.append(one)
        return found


@contextmanager
def running_hub(repos: dict[str, Path]) -> Iterator[Hub]:
    """Serve `repos` until the end of the block."""
    hub = Hub(repos)

    class Handler(_Handler):
        known = hub

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Who asked is gone: say nothing."""

    server = Server(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    known: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub, path = self.known, unquote(urlsplit(self.path).path)
        hub.asked.append((self.command, path, self.headers.get("Range", "")))
        hub.tokens.add(self.headers.get("Authorization", ""))
        if path == "/api/models":
            self._json([{"id": name, "modelId": name} for name in hub.repos])
            return
        api = path.startswith("/api/models/")
        parts = path.removeprefix("/api/models/").strip("/").split("/")
        repo = "/".join(parts[:2])
        if repo in hub.statuses:
            self._send(*hub.statuses[repo], b"")
        elif repo not in hub.repos:
            self._send(404, {"X-Error-Code": "RepoNotFound"}, b"")
        elif api and parts[2:3] == ["revision"] and parts[3] not in ("main", hub.commit):
            self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"")
        elif api:
            self._json({"id": repo, "sha": hub.commit, "siblings": hub.files(repo)})
        else:
            self._file(repo, "/".join(parts[4:]), body=body)

    def _file(self, repo: str, name: str, *, body: bool) -> None:
        path = self.known.repos[repo] / name
        if not path.is_file():
            self._send(404, {"X-Error-Code": "EntryNotFound"}, b"")
            return
        data, total = path.read_bytes(), path.stat().st_size
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Linked-Size": str(total)}
        headers["X-Repo-Commit"] = self.known.commit
        start, status = 0, 200
        if asked := self.headers.get("Range", ""):
            start, status = int(asked.removeprefix("bytes=").split("-")[0]), 206
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        if body and name in self.known.stalls:
            self.known.go_on.wait()
        self._send(status, headers, data[start:])

    def _json(self, content: Any) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(content).encode())

    def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

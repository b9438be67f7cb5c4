"""A server that speaks the OpenAI API as a test says, byte for byte, on a real socket."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS = 60.0
DONE = b"data: [DONE]\n\n"


def event(value: Any) -> bytes:
    """One event of a stream."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    """A chunk of an answer, as OpenAI writes it; `more` stands beside its choices."""
    delta = {} if text is None else {"content": text}
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more)


def usage(prompt: int, completion: int) -> bytes:
    """The last chunk of a stream whose usage was asked for."""
    return event({"choices": [], "usage": {"prompt_tokens": prompt,
                 "completion_tokens": completion}})  # fmt: skip


def models(*names: str, **more: Any) -> bytes:
    """The body of ``GET /v1/models``; `more` is said of each."""
    return json.dumps({"object": "list", "data": [{"id": n} | more for n in names]}).encode()


class Talk:
    """One request, and what is answered to it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.method, self.path = handler.command, handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.body: dict[str, Any] = json.loads(body) if body else {}
        self._handler = handler

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def head(self, status: int, **headers: str) -> None:
        """Send a status and headers (``_`` for ``-``); the body ends with the connection."""
        lines = [f"HTTP/1.1 {status} So"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.raw("\r\n".join([*lines, "connection: close", "", ""]).encode())

    def answer(self, status: int, body: bytes | dict[str, Any], **headers: str) -> None:
        """Send a whole answer; JSON unless the headers say else."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.head(status, content_type=headers.pop("content_type", "application/json"),
                  content_length=str(len(data)), **headers)  # fmt: skip
        self.raw(data)

    def stream(self, *pieces: bytes) -> None:
        """Begin a stream of events, and send these."""
        self.head(200, content_type="text/event-stream")
        self.stream_on(*pieces)

    def stream_on(self, *pieces: bytes) -> None:
        """Send more of them."""
        for piece in pieces:
            self.raw(piece)

    def wait_until_left(self) -> bool:
        """Wait until the one who asked closes its connection; whether it did."""
        self._handler.connection.settimeout(SECONDS)
        try:
            return not self._handler.connection.recv(1)
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


Script = Callable[[Talk], object]


def saying(*pieces: bytes) -> Script:
    """A script that streams these and is done."""
    return lambda talk: talk.stream(*pieces, DONE)


def answering(status: int, body: bytes | dict[str, Any], **headers: str) -> Script:
    """A script that gives one whole answer."""
    return lambda talk: talk.answer(status, body, **headers)


class ScriptedUpstream:
    """Use it as a context. What is asked for and has no script is a 404 without JSON.

    Arguments:
        listed: the body of ``GET /v1/models``; None for a server without a list.
        port: where; 0 picks one.
        tls: makes it speak TLS.
    """

    def __init__(
        self,
        listed: bytes | None = models("m"),
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.scripts: dict[str, Script] = {}
        if listed is not None:
            self.lists(listed)
        self.talks: list[Talk] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), self._handler())
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> ScriptedUpstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Die: the port and every connection are closed."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.end()

    def lists(self, body: bytes) -> None:
        """Answer ``GET /v1/models`` so from now on."""
        self.scripts["GET /v1/models"] = answering(200, body)

    def chats(self, *scripts: Script) -> None:
        """Answer chat completions so, the last for all that follow."""
        left = list(scripts)

        def one(talk: Talk) -> None:
            with self._lock:
                script = left.pop(0) if len(left) > 1 else left[0]
            script(talk)

        self.scripts["POST /v1/chat/completions"] = one

    @property
    def chatted(self) -> list[Talk]:
        """The chat completions that were asked for."""
        return [talk for talk in self.talks if talk.path == "/v1/chat/completions"]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                return

            def _take(self) -> None:
                talk = Talk(self, self.rfile.read(int(self.headers.get("content-length", 0))))
                upstream.talks.append(talk)
                self.close_connection = True
                script = upstream.scripts.get(f"{self.command} {self.path}")
                try:
                    (script or answering(404, b"nothing", content_type="text/plain"))(talk)
                except (ConnectionError, ssl.SSLError):
                    pass  # who asked has left

            do_GET = do_POST = _take

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def get_request(self) -> Any:
        request, address = super().get_request()
        self._open.add(request)
        return request, address

    def handle_error(self, *_: object) -> None:
        """A client that breaks off, as on purpose, is no news."""

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def end(self) -> None:
        """Let go of the port and of all that is still open."""
        self.server_close()
        for request in list(self._open):
            self.shutdown_request(request)


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])

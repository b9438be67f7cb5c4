"""Asks doors of nodes over bare sockets, as lightly as Python can, and tells what it took.

    .venv/bin/python bench/accounts/asker.py

A program of its own. The first line on stdin has the doors, [[PORT, KEY], …]; then it obeys a JSON
object a line, and answers with one:

    {"do": "turns", "count": N}         N requests at each door, one at a time, the doors in turns
    {"do": "open", "at_once": N}        so many connections to each door, kept alive until `close`
    {"do": "rate", "door": N, "seconds": S}     a request on each of them, and the next, for so long
    {"do": "close"}

An answer is read as far as its length says, and no further.
"""

from __future__ import annotations

import itertools
import json
import selectors
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

BODY = json.dumps({
    "model": "echo",
    "messages": [{"role": "user", "content": "one two three four five six seven eight"}],
}).encode()  # fmt: skip
_SECONDS = 30.0
_AT_MOST = 1 << 16
_WARM = 3
"""The first requests of a connection are not measured."""


class Line:
    """A connection to a door, with one request under way on it at most."""

    def __init__(self, port: int, key: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(BODY)}\r\n\r\n"
        )
        self._request = head.encode() + BODY
        self._have = b""
        self._whole = 0
        self.sent = 0.0

    def ask(self) -> None:
        """Send a request."""
        self._have, self._whole = b"", 0
        self.sent = time.perf_counter()
        self.socket.sendall(self._request)

    def read(self) -> bool:
        """Take what has come; whether the answer is whole."""
        data = self.socket.recv(_AT_MOST)
        if not data:
            raise SystemExit("a door closed its connection")
        self._have += data
        if not self._whole:
            head, found, _ = self._have.partition(b"\r\n\r\n")
            if not found:
                return False
            if not head.startswith(b"HTTP/1.1 200 "):
                raise SystemExit(f"a door answered {self._have.decode(errors='replace')}")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._whole = len(head) + 4 + int(length)
        return len(self._have) >= self._whole


class Asker:
    """Asks the doors.

    Arguments:
        doors: of each the port and the key.
    """

    def __init__(self, doors: list[tuple[int, str]]) -> None:
        self._doors = doors
        self._open: dict[int, list[Line]] = {}

    def turns(self, count: int) -> dict[str, Any]:
        """One at a time; who is first changes each time. Gives milliseconds, for each door."""
        lines = [Line(*door) for door in self._doors]
        taken: list[list[float]] = [[] for _ in lines]
        for number in range(-_WARM, count):
            for step in range(len(lines)):
                place = (number + step) % len(lines)
                line = lines[place]
                line.ask()
                while not line.read():
                    pass
                if number >= 0:
                    taken[place].append((time.perf_counter() - line.sent) * 1000)
        for line in lines:
            line.socket.close()
        return {"ms": taken}

    def open(self, at_once: int) -> dict[str, Any]:
        """Connect to each door."""
        for place, door in enumerate(self._doors):
            self._open[place] = [Line(*door) for _ in range(at_once)]
        return {}

    def close(self) -> dict[str, Any]:
        """Let go of those."""
        for line in itertools.chain.from_iterable(self._open.values()):
            line.socket.close()
        self._open.clear()
        return {}

    def rate(self, door: int, seconds: float) -> dict[str, Any]:
        """Keep all connections of a door busy for so long."""
        with selectors.DefaultSelector() as selector:
            for line in self._open[door]:
                selector.register(line.socket, selectors.EVENT_READ, line)
            return self._drive(selector, self._open[door], seconds)

    def _drive(
        self, selector: selectors.BaseSelector, lines: list[Line], seconds: float
    ) -> dict[str, Any]:
        clock = time.perf_counter
        began = clock()
        stop, times, left = began + seconds, [], len(lines)
        for line in lines:
            line.ask()
        while left:
            ready = selector.select(_SECONDS)
            if not ready:
                raise SystemExit(f"no door answered within {_SECONDS:g} s")
            for key, _ in ready:
                line = key.data
                if not line.read():
                    continue
                now = clock()
                times.append((now - line.sent) * 1000)
                if now < stop:
                    line.ask()
                else:
                    left -= 1
        return {"ms": times, "seconds": clock() - began}


def main() -> None:
    """Obey until stdin ends."""
    asker = Asker([(port, key) for port, key in json.loads(sys.stdin.readline())])
    work: dict[str, Callable[..., dict[str, Any]]] = {
        "turns": asker.turns, "open": asker.open, "rate": asker.rate, "close": asker.close,
    }  # fmt: skip
    for line in sys.stdin:
        given = json.loads(line)
        print(json.dumps(work[given.pop("do")](**given)), flush=True)


if __name__ == "__main__":
    main()

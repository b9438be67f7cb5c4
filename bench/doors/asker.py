"""Asks doors over bare sockets, whole and as streams, as lightly as Python can.

    .venv/bin/python bench/doors/asker.py

A program of its own. It obeys a JSON object a line on stdin, and answers with one:

    {"do": "turns", "doors": [DOOR, …], "count": N, "stream": BOOL}   one at a time, in turns
    {"do": "crowd", "door": DOOR, "at_once": N, "seconds": S}         so many whole answers at once
    {"do": "flood", "door": DOOR, "at_once": N, "tokens": T}          streams as fast as they come
    {"do": "paced", "door": DOOR, "at_once": N, "tokens": T}          streams at their own speed

A door is {"port", "headers", "model"}. Times are in milliseconds. What came in one read came at one
moment: the gaps between those moments are what a person at the other end sees.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

_SECONDS = 60.0
_AT_MOST = 1 << 16
_WARM = 5
_EIGHT = "one two three four five six seven eight"
_USAGE = re.compile(rb'"completion_tokens": ?(\d+)')
_CONTENT = re.compile(rb'"content": ?"[^"]')
_SPREAD = 1.0
"""Seconds over which paced streams begin, so that they are not all due at one moment."""

Door = dict[str, Any]


class Line:
    """A connection to a door, with one request under way on it at most."""

    def __init__(self, door: Door, *, stream: bool = False, tokens: int = 0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", door["port"]), timeout=_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body: dict[str, Any] = {"model": door["model"]}
        # echo says the prompt over and over, as long as it may.
        body["messages"] = [{"role": "user", "content": _EIGHT}]
        if tokens:
            body["max_tokens"] = tokens
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        data = json.dumps(body).encode()
        headers = {"Host": f"127.0.0.1:{door['port']}", "Content-Type": "application/json"}
        headers |= door["headers"] | {"Content-Length": str(len(data))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._request = f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode() + data
        self.sent = self.first = 0.0
        self.gaps: list[float] = []
        self.events = self.tokens = 0
        self._begin()

    def _begin(self) -> None:
        self._have, self._head, self._whole = b"", b"", -1
        self.first = 0.0
        self._last = 0.0

    def ask(self) -> None:
        """Send a request."""
        self._begin()
        self.sent = time.perf_counter()
        self.socket.sendall(self._request)

    def read(self) -> bool:
        """Take what has come; whether the answer is whole."""
        data = self.socket.recv(_AT_MOST)
        now = time.perf_counter()
        if not data:
            raise SystemExit(f"a door closed its connection after {self._have[-300:]!r}")
        self._have += data
        if not self._head and not self._take_head():
            return False
        if self._whole >= 0:
            return len(self._have) >= self._whole
        return self._take_events(data, now)

    def _take_head(self) -> bool:
        head, found, rest = self._have.partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"a door answered {self._have.decode(errors='replace')[:600]}")
        lower = head.lower()
        self._head, self._have = head, rest
        if b"content-length:" in lower:
            self._whole = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return True

    def _take_events(self, data: bytes, now: float) -> bool:
        if b'{"error"' in data:
            raise SystemExit(f"a door ended a stream with {data[-400:]!r}")
        if _CONTENT.search(data):
            self.events += data.count(b"data: ")
            if not self.first:
                self.first = now
            elif self._last:
                self.gaps.append((now - self._last) * 1000)
            self._last = now
        over = self._have.endswith(b"0\r\n\r\n")
        if over and (told := _USAGE.findall(self._have[-4000:])):
            self.tokens += int(told[-1])
        elif len(self._have) > 16_000:
            self._have = self._have[-4000:]
        return over


def turns(doors: list[Door], count: int, stream: bool) -> dict[str, Any]:
    """One at a time; who is first changes each time. Of streams the time to the first text."""
    lines = [Line(door, stream=stream) for door in doors]
    taken: list[list[float]] = [[] for _ in lines]
    for number in range(-_WARM, count):
        for step in range(len(lines)):
            place = (number + step) % len(lines)
            line = lines[place]
            line.ask()
            while not line.read():
                pass
            if number >= 0:
                end = line.first if stream else time.perf_counter()
                taken[place].append((end - line.sent) * 1000)
    for line in lines:
        line.socket.close()
    return {"ms": taken}


def crowd(door: Door, at_once: int, seconds: float) -> dict[str, Any]:
    """Keep so many connections of a door busy for so long."""
    lines = [Line(door) for _ in range(at_once)]
    with selectors.DefaultSelector() as selector:
        began = time.perf_counter()
        stop, times = began + seconds, []
        for line in lines:
            selector.register(line.socket, selectors.EVENT_READ, line)
            line.ask()
        left = at_once
        while left:
            for line in _ready(selector):
                if not line.read():
                    continue
                now = time.perf_counter()
                times.append((now - line.sent) * 1000)
                if now < stop:
                    line.ask()
                else:
                    left -= 1
                    _done(selector, line)
        return {"ms": times, "seconds": time.perf_counter() - began}


def flood(door: Door, at_once: int, tokens: int) -> dict[str, Any]:
    """So many streams at once, as fast as they come."""
    lines = [Line(door, stream=True, tokens=tokens) for _ in range(at_once)]
    began = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for line in lines:
            selector.register(line.socket, selectors.EVENT_READ, line)
            line.ask()
        _to_the_end(selector, at_once)
    return _sums(lines) | {"seconds": time.perf_counter() - began}


def paced(door: Door, at_once: int, tokens: int) -> dict[str, Any]:
    """So many streams at their own speed, which begin one after another."""
    lines = [Line(door, stream=True, tokens=tokens) for _ in range(at_once)]
    began = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for number, line in enumerate(lines):
            due = began + _SPREAD * number / at_once
            while time.perf_counter() < due:
                for other in _ready(selector, due - time.perf_counter(), must=False):
                    other.read()
            selector.register(line.socket, selectors.EVENT_READ, line)
            line.ask()
        _to_the_end(selector, at_once)
    gaps = [gap for line in lines for gap in line.gaps]
    first = [(line.first - line.sent) * 1000 for line in lines]
    return _sums(lines) | {"gaps": gaps, "first": first, "seconds": time.perf_counter() - began}


def _to_the_end(selector: selectors.BaseSelector, left: int) -> None:
    while left:
        for line in _ready(selector):
            if line.read():
                left -= 1
                _done(selector, line)


def _done(selector: selectors.BaseSelector, line: Line) -> None:
    selector.unregister(line.socket)
    line.socket.close()


def _sums(lines: list[Line]) -> dict[str, Any]:
    return {
        "events": sum(line.events for line in lines), "tokens": sum(line.tokens for line in lines)
    }  # fmt: skip


def _ready(
    selector: selectors.BaseSelector, seconds: float = _SECONDS, *, must: bool = True
) -> list[Line]:
    ready = selector.select(max(0.0, seconds)) if selector.get_map() else []
    if not ready and must:
        raise SystemExit(f"no door answered within {seconds:g} s")
    return [key.data for key, _ in ready]


def main() -> None:
    """Obey until stdin ends."""
    work: dict[str, Callable[..., dict[str, Any]]] = {
        "turns": turns, "crowd": crowd, "flood": flood, "paced": paced,
    }  # fmt: skip
    for line in sys.stdin:
        given = json.loads(line)
        print(json.dumps(work[given.pop("do")](**given)), flush=True)


if __name__ == "__main__":
    main()

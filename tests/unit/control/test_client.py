"""The client of the faces against sockets that answer wrongly, late or not at all."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiplat.control.client import ControlClient, NodeLost, NodeSilent, NoNode
from aiplat.control.messages import Accepted, Ask, Stop
from aiplat.domain.answers import Delta
from aiplat.domain.chat import Message
from aiplat.domain.errors import AiplatError, DeadlineExceeded, NotReady, Overloaded

ASK = Ask(messages=(Message("user", "hi"),))
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
ACCEPTED = b'event: accepted\ndata: {"type":"accepted","request":"req-1"}\n\n'
DELTA = b'event: delta\ndata: {"type":"delta","text":"a"}\n\n'


def read_request(sock: socket.socket) -> None:
    """Read one whole request: a socket that is closed on unread bytes is reset."""
    with sock.makefile("rb") as file:
        size = 0
        while (line := file.readline()) not in (b"\r\n", b""):
            name, _, value = line.lower().partition(b": ")
            size = int(value) if name == b"content-length" else size
        file.read(size)


@contextmanager
def node(
    path: Path, reply: bytes, *, hold: bool = False, silence: float = 30.0
) -> Iterator[ControlClient]:
    """A node that says `reply` to one call, then hangs up, or says nothing more until the end."""
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen()

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                read_request(sock)
                sock.sendall(reply)
                if hold:
                    over.wait(60)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield ControlClient(path, timeout=silence, silence=silence)
        finally:
            over.set()
            thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sock"


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def test_no_node_there(path: Path) -> None:
    client = ControlClient(path)
    with pytest.raises(NoNode, match="No node runs here"):
        client.status()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))
    with pytest.raises(NoNode, match="aiplat serve"):
        list(client.ask(ASK))
    assert issubclass(NoNode, NotReady)


def test_a_path_that_no_socket_can_have(tmp_path: Path) -> None:
    with pytest.raises(NoNode, match=r"cannot be used|nothing listens"):
        ControlClient(tmp_path / ("x" * 200)).status()


def test_a_node_that_does_not_answer(path: Path) -> None:
    with (
        node(path, b"", hold=True, silence=0.2) as client,
        pytest.raises(NodeSilent, match=r"0\.2 seconds"),
    ):
        client.status()


def test_a_node_that_falls_silent_in_mid_answer(path: Path) -> None:
    with node(path, EVENTS + ACCEPTED + DELTA, hold=True, silence=3.0) as client:
        events = client.ask(ASK)
        assert next(events) == Accepted(request="req-1")
        assert next(events) == Delta(text="a")
        with pytest.raises(NodeLost, match="`aiplat stop --now`"):
            next(events)


def test_a_node_that_ends_in_mid_answer(path: Path) -> None:
    with node(path, EVENTS + ACCEPTED + DELTA) as client:
        events = client.ask(ASK)
        assert [next(events), next(events)] == [Accepted(request="req-1"), Delta(text="a")]
        with pytest.raises(NodeLost, match="ended before its answer was whole: it was") as caught:
            next(events)
        assert "Error" not in str(caught.value)  # no name of Python's


def test_a_node_that_hangs_up(path: Path) -> None:
    with node(path, b"") as client, pytest.raises(NodeLost):
        client.stop(Stop())


@pytest.mark.parametrize(
    "reply",
    [b"\x00garbage\r\n\r\n", http(200, b"[]"), http(200, b"nonsense"), http(500, b"<html>")],
)
def test_what_is_no_node(path: Path, reply: bytes) -> None:
    with node(path, reply) as client, pytest.raises(NodeLost):
        client.status()


@pytest.mark.parametrize("data", [b"{}", b"\xff", b'{"type":"delta","text":5}'])
def test_events_that_are_none(path: Path, data: bytes) -> None:
    reply = EVENTS + b"event: delta\ndata: " + data + b"\n\n"
    with node(path, reply) as client, pytest.raises(NodeLost, match="no node of this version"):
        list(client.ask(ASK))


def test_events_of_a_newer_node_and_comments_are_passed_over(path: Path) -> None:
    later = b': waiting\n\nevent: moved\ndata: {"type":"moved"}\n\n'
    with node(path, EVENTS + later + ACCEPTED + DELTA) as client:
        assert next(client.ask(ASK)) == Accepted(request="req-1")


def test_refusals_and_failures_are_the_leaves_that_they_tell_of(path: Path) -> None:
    failed = (
        b'{"code":"overloaded","message":"Full.","param":"model","retry_after_ms":1500,'
        b'"recoverable":true}'
    )
    with node(path, http(503, b'{"error":%b}' % failed)) as client:
        with pytest.raises(Overloaded, match="Full") as caught:
            list(client.ask(ASK))
        assert (caught.value.param, caught.value.retry_after) == ("model", 1.5)
    path.unlink()
    event = b'event: failed\ndata: {"type":"failed",' + failed[1:] + b"\n\n"
    with node(path, EVENTS + ACCEPTED + event) as client:
        events = client.ask(ASK)
        next(events)
        with pytest.raises(Overloaded):
            next(events)


def test_an_unknown_code_is_the_root(path: Path) -> None:
    reply = http(418, b'{"error":{"code":"teapot","message":"Short."}}')
    with node(path, reply) as client, pytest.raises(AiplatError, match="Short"):
        client.models()


def test_a_deadline_that_the_node_forgets(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiplat.control.client.SLACK", -1.0)
    ask = Ask(messages=ASK.messages, deadline_ms=10)
    reply = EVENTS + b": waiting\n\n" + ACCEPTED
    with node(path, reply) as client, pytest.raises(DeadlineExceeded, match=r"0\.01 seconds"):
        list(client.ask(ask))


def test_it_costs_a_face_no_http_library() -> None:
    code = (
        "import sys, aiplat.control.client; "
        "sys.exit(', '.join({'httpx', 'http.client', 'trio', 'hypercorn'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

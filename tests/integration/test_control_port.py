"""The control API on a port of loopback: found by its file, shut to all but its own faces."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import msgspec
import pytest
import trio

from aiplat.control.aio import AsyncControlClient
from aiplat.control.calls import Call
from aiplat.control.client import ControlClient, NoNode
from aiplat.control.messages import Ask, ErrorReply, Status
from aiplat.control.ways import TOKEN_HEADER, ControlPort, lock_of, told_port
from aiplat.domain.answers import Delta
from aiplat.domain.chat import Message
from aiplat.http.app import make_control_app
from aiplat.http.control_port import PortKeeper, new_token
from aiplat.http.serving import serve_control_port
from aiplat.http.settings import HttpSettings
from aiplat.http.sockets import NodeRuns
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_node import FakeNode
from tests.support.nodes import RunningNode, aiplat

ASK = Ask(messages=(Message("user", "one two three"),), model="echo")
TOKEN = new_token()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@asynccontextmanager
async def open_port(path: Path, node: FakeNode | None = None) -> AsyncIterator[ControlPort]:
    settings, fake = HttpSettings(), node or FakeNode()
    app = make_control_app(fake, settings, (PortKeeper(TOKEN, Metrics()).check,))

    async def serve(task_status: trio.TaskStatus[str]) -> None:
        await serve_control_port(app, path, TOKEN, settings, task_status=task_status)

    async with trio.open_nursery() as nursery:
        assert await nursery.start(serve) == str(path)
        told = told_port(path)
        assert told is not None
        yield told
        nursery.cancel_scope.cancel()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.port"


# -- by the one client of the faces, and by the other ------------------------------------------


async def test_both_clients_ask_there(path: Path) -> None:
    node = FakeNode()
    client = ControlClient(path, timeout=30, silence=30, credential="sk-aip-face")
    async with open_port(path, node):
        assert await trio.to_thread.run_sync(client.status) == node.status()
        events = await trio.to_thread.run_sync(lambda: list(client.ask(ASK)))
        assert "".join(e.text for e in events if isinstance(e, Delta)) == "one two three "
        (asking,) = node.answers.asked
        assert asking.submission.credential == "sk-aip-face"  # the token is beside it, not for it

        def from_asyncio() -> str:
            import asyncio

            async def work() -> str:
                other = AsyncControlClient(path, timeout=30, silence=30)
                status = await other.call(Call("/control/status", Status))
                assert status == node.status()
                return "".join([e.text async for e in other.ask(ASK) if isinstance(e, Delta)])

            return asyncio.run(work())

        assert await trio.to_thread.run_sync(from_asyncio) == "one two three "


# -- by anybody else ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({TOKEN_HEADER: ""}, 401, "is missing"),
        ({TOKEN_HEADER: TOKEN[:-1]}, 401, "is wrong"),
        ({TOKEN_HEADER: TOKEN.upper()}, 401, "is wrong"),
        ({TOKEN_HEADER: "é"}, 401, "is wrong"),
        ({TOKEN_HEADER: "", "authorization": f"Bearer {TOKEN}"}, 401, "is missing"),
        ({"host": "evil.example"}, 403, "the Host is 'evil.example'"),
        ({"host": "127.0.0.1.evil.example"}, 403, "the Host is"),
        ({"origin": "https://evil.example"}, 403, "No page of a browser"),
        ({"origin": "http://127.0.0.1"}, 403, "No page of a browser"),
        ({"origin": "null"}, 403, "No page of a browser"),
        ({"content-type": "text/plain"}, 415, "application/json"),
    ],
)
async def test_who_is_refused(path: Path, change: dict[str, str], status: int, words: str) -> None:
    good = {TOKEN_HEADER: TOKEN, "content-type": "application/json"}
    async with open_port(path) as told, httpx.AsyncClient() as client:
        client.base_url = httpx.URL(f"http://{told.host}")
        for way in ("/control/stop", "/control/network/leave", "/control/none"):
            headers = [(k.encode(), v.encode("latin-1")) for k, v in {**good, **change}.items()]
            answer = await client.post(way, content=b"{}", headers=headers)
            assert answer.status_code == status, way
            assert words in msgspec.json.decode(answer.content, type=ErrorReply).error.message
            assert TOKEN not in answer.text
        for name in ("localhost", "127.0.0.1:1", "[::1]"):
            headers = [(k.encode(), v.encode()) for k, v in {**good, "host": name}.items()]
            assert (await client.get("/control/status", headers=headers)).status_code == 200
        preflight = await client.options("/control/status", headers={"origin": "https://a.b"})
        assert preflight.status_code == 403


# -- the file ------------------------------------------------------------------------------------


async def test_its_file_is_its_owners_alone_and_goes_with_it(path: Path) -> None:
    client = ControlClient(path)
    async with open_port(path):
        assert (mode(path), mode(lock_of(path)), mode(path.parent)) == (0o600, 0o600, 0o700)
        assert TOKEN not in repr(told_port(path))
        with pytest.RaisesGroup(pytest.RaisesExc(NodeRuns), allow_unwrapped=True,
                                flatten_subgroups=True):  # fmt: skip
            async with open_port(path):
                pass
        for wrong in (0o640, 0o604, 0o622):
            os.chmod(path, wrong)
            with pytest.raises(NoNode, match="cannot be used"):
                await trio.to_thread.run_sync(client.status)
        os.chmod(path, 0o600)
        await trio.to_thread.run_sync(client.status)
    assert path.name not in os.listdir(path.parent)
    with pytest.raises(NoNode, match="No node runs here"):
        await trio.to_thread.run_sync(client.status)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Whatever got the port of a dead node: it must hear nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.setblocking(False)
        yield listening


def test_a_dead_nodes_file_is_not_believed(path: Path, listener: socket.socket) -> None:
    path.parent.mkdir(mode=0o700)
    path.touch(0o600)
    path.write_bytes(msgspec.json.encode(ControlPort(listener.getsockname()[1], "x")))
    for _ in range(2):
        with pytest.raises(NoNode, match="No node runs here"):
            ControlClient(path, credential="sk-aip-secret").status()
        with pytest.raises(BlockingIOError):
            listener.accept()
        lock_of(path).touch(0o600)  # a lock that nobody holds is no sign of life either


def rewrite(path: Path, text: bytes) -> None:
    path.write_bytes(text)


@pytest.mark.parametrize("text", [b"", b"{}", b"[1", b'{"port":"x","token":"y"}'])
async def test_what_is_no_such_file(path: Path, text: bytes) -> None:
    async with open_port(path):
        rewrite(path, text)
        with pytest.raises(NoNode, match="does not hold what a node writes"):
            await trio.to_thread.run_sync(ControlClient(path).status)


# -- a whole node ---------------------------------------------------------------------------------


def test_the_commands_work_through_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    node = RunningNode(home, "--model", "echo", "--set", "http.control=port")
    try:
        file = home / "state" / "control.port"
        assert node.status["control"] == str(file)
        assert not (home / "state" / "control.sock").exists()
        token = json.loads(file.read_text())["token"]
        assert len(bytes.fromhex(token)) == 32
        assert json.loads(aiplat(home, "status", "--json").stdout)["peer_id"] == node.peer_id
        asked = aiplat(home, "ask", "--model", "echo", "one two")
        assert (asked.returncode, asked.stdout.strip()) == (0, "one two"), asked.stderr
        assert "echo" in aiplat(home, "models", "list").stdout
        assert aiplat(home, "logs").returncode == 0
        logged = (home / "state" / "logs" / "node.jsonl").read_text() + node.stderr
        assert token not in logged
        node.kill()
        assert file.exists()
        after = aiplat(home, "status")
        assert (after.returncode, "No node runs here" in after.stderr) == (1, True), after.stderr
    finally:
        node.close()
    again = RunningNode(home, "--model", "echo")  # by the socket: the old file misleads nobody
    try:
        assert again.now()["control"].endswith("control.sock")
        stopped: subprocess.CompletedProcess[str] = aiplat(home, "stop")
        assert stopped.returncode == 0, stopped.stderr
        assert again.process.wait(60) == 0
    finally:
        again.close()
    assert os.listdir(home / "state")

"""Commands against real nodes: who starts one, who takes a place, and how it is ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiplat.engine import store
from aiplat.engine.filelock import locked
from tests.support.nodes import COMMAND, RunningNode, aiplat, environment
from tests.support.waiting import eventually

SLOW = {"AIPLAT_ENGINE_ECHO_RATE": "20"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "h"
    yield made
    aiplat(made, "stop", "--now")


def status(home: Path) -> dict[str, Any]:
    done = aiplat(home, "status", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def starts(home: Path) -> int:
    """How many nodes were started in `home` so far."""
    log = (home / "state" / "logs" / "node.jsonl").read_text()
    return sum('"message":"ready: ' in line for line in log.splitlines())


@contextmanager
def serving(node: RunningNode) -> Iterator[RunningNode]:
    """A node in the foreground, stopped at the end."""
    try:
        yield node
        assert node.stop() == 0
    finally:
        node.close()


@contextmanager
def asking(home: Path, *words: str, **extra: str) -> Iterator[subprocess.Popen[bytes]]:
    """A slow answer under way."""
    with subprocess.Popen(
        [*COMMAND, "--home", str(home), "ask", "--model", "echo", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(**SLOW, **extra),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.read(3)
        try:
            yield process
        finally:
            process.kill()


LONG = ("--max-tokens", "2000", "one two three four")


def test_faces_that_race_start_one_node(home: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(aiplat, home, "ask", "--model", "echo", f"hi {n}") for n in range(3)]
        done = [run.result() for run in runs]
    assert [run.returncode for run in done] == [0, 0, 0], [run.stderr for run in done]
    assert [run.stdout for run in done] == ["hi 0\n", "hi 1\n", "hi 2\n"]
    assert starts(home) == 1
    assert sum("Until this node belongs to a network" in run.stderr for run in done) == 1
    assert status(home)["background"] is True
    stopped = aiplat(home, "stop", "--json")
    assert json.loads(stopped.stdout)["stopped"] is True
    gone = aiplat(home, "status")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "No node runs here" in gone.stderr


def test_what_a_killed_node_leaves_is_no_obstacle(home: Path) -> None:
    aiplat(home, "ask", "--model", "echo", "hi")
    os.kill(status(home)["pid"], signal.SIGKILL)
    eventually(lambda: aiplat(home, "status").returncode == 1)
    assert (home / "state" / "node.lock").exists()
    again = aiplat(home, "ask", "--model", "echo", "again")
    assert (again.returncode, again.stdout) == (0, "again\n")
    assert starts(home) == 2


def test_serve_twice_names_what_runs(home: Path) -> None:
    with serving(RunningNode(home, "--model", "echo")) as node:
        second = aiplat(home, "serve", "--model", "echo", "--json")
        assert second.returncode == 1
        assert f"pid {node.process.pid}, {node.status['http']}" in second.stderr
        assert json.loads(second.stdout)["error"]["code"] == "config_error"
        asked = aiplat(home, "ask", "hi", "--json")
        told = json.loads(asked.stdout)
        assert told["text"] == "hi"
        assert told["gateway"] == told["processor"] == node.status["peer_id"]
        assert told["usage"]["total_tokens"] == told["usage"]["prompt_tokens"] * 2
        assert told["request"].startswith("req-")


def test_serve_takes_the_place_of_an_idle_background_node(home: Path) -> None:
    aiplat(home, "ask", "--model", "echo", "hi")
    before = status(home)
    with serving(RunningNode(home, "--model", "echo")) as node:
        assert "Took the place" in node.stderr
        now = status(home)
        assert now["pid"] == node.process.pid != before["pid"]
        assert now["peer_id"] == before["peer_id"]
        assert now["background"] is False


@pytest.mark.parametrize("wrong", ["http", "taken", "listen", "peer", "model"])
def test_serve_that_cannot_start_leaves_the_node_that_runs(home: Path, wrong: str) -> None:
    assert aiplat(home, "ask", "--model", "echo", "hi").returncode == 0
    pid = status(home)["pid"]
    with socket.create_server(("127.0.0.1", 0)) as other:
        words, code, text = {
            "http": (("--http", "foo"), 2, "must be HOST:PORT"),
            "taken": (("--http", f"127.0.0.1:{other.getsockname()[1]}"), 1, "is in use already"),
            "listen": (("--listen", "/ip4/10.0.0.1/tcp/0"), 2, "Cannot listen on"),
            "peer": (("--peer", "foo"), 2, "is no multiaddr"),
            "model": (("--model", "smolm2"), 1, "There is no model 'smolm2'"),
        }[wrong]
        one_sentence(aiplat(home, "serve", *words), code, text)
    assert status(home)["pid"] == pid


def test_serve_that_cannot_start_makes_no_identity(home: Path) -> None:
    one_sentence(aiplat(home, "serve", "--http", "foo"), 2, "must be HOST:PORT")
    assert not (home / "data" / "identity.key").exists()


def test_serve_leaves_a_busy_background_node_alone(home: Path) -> None:
    with asking(home, *LONG):
        refused = aiplat(home, "serve", "--model", "echo", "--http", "127.0.0.1:0")
        assert refused.returncode == 1
        assert "answers 1 requests" in refused.stderr
        assert status(home)["active"] == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_an_interrupt_cancels_the_request(home: Path, number: signal.Signals, code: int) -> None:
    with asking(home, *LONG) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code
        assert b"Traceback" not in err
        if number is signal.SIGINT:
            assert out.endswith(b"\n")  # what came is kept
        eventually(lambda: status(home)["active"] == 0)


def test_a_reader_that_leaves_ends_the_answer(home: Path) -> None:
    command = [*COMMAND, "--home", str(home), "ask", "--model", "echo", *LONG]
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -c 5; echo "=${PIPESTATUS[0]}"', "-", *command],
        stdin=subprocess.DEVNULL, capture_output=True, env=environment(**SLOW), check=False,
        timeout=180,
    )  # fmt: skip
    assert done.stdout == b"one t=0\n"
    assert b"Traceback" not in done.stderr
    eventually(lambda: status(home)["active"] == 0)


def test_stop_now_does_not_wait(home: Path) -> None:
    with asking(home, *LONG) as process:
        assert aiplat(home, "stop", "--now").returncode == 0
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert b"Traceback" not in err
        assert err.strip()


def test_pipes_and_files_make_the_prompt(home: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("be kind\n")
    done = aiplat(home, "ask", "--model", "echo", "review", "-f", str(notes), stdin="+ new\n")
    assert done.stdout == f"review\n\n--- {notes} ---\nbe kind\n\n+ new\n"
    chat = aiplat(home, "chat", "--model", "echo", "--json", stdin="one\n\nexit\nnever\n")
    assert [json.loads(line)["text"] for line in chat.stdout.splitlines()] == ["one"]
    bad = aiplat(home, "ask", "hi", stdin=b"\xff")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "stdin is not UTF-8 text: byte 0" in bad.stderr


def test_env_points_other_programs_here(home: Path) -> None:
    with serving(RunningNode(home, "--model", "echo")) as node:
        lines = aiplat(home, "env").stdout
        script = f'{lines}\nprintf \'%s %s\' "$OPENAI_BASE_URL" "$OPENAI_API_KEY"'
        said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
        url, key = said.stdout.split()
        assert url == f"{node.status['http']}/v1"
        assert key == (home / "state" / "token").read_text().strip()
        assert key not in node.stderr
        assert json.loads(aiplat(home, "env", "--json").stdout)["OPENAI_API_KEY"] == key
        names = [model["name"] for model in json.loads(
            aiplat(home, "models", "list", "--json").stdout)["models"]]  # fmt: skip
        assert names == ["echo"]


def test_a_background_node_takes_a_free_port_when_its_own_is_taken(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        done = aiplat(home, "ask", "--model", "echo", "hi", AIPLAT_HTTP_BIND=bind)
        assert done.returncode == 0, done.stderr
        assert not status(home)["http"].endswith(bind)
        aiplat(home, "stop")
        refused = aiplat(home, "serve", "--model", "echo", "--http", bind)
        assert refused.returncode == 1
        assert bind in refused.stderr


def test_ask_peer_starts_a_client_only(home: Path, tmp_path: Path) -> None:
    with serving(RunningNode(tmp_path / "g", "--model", "echo")) as far:
        done = aiplat(home, "ask", "--peer", far.address, "hi", "--json")
        told = json.loads(done.stdout)
        assert told["text"] == "hi"
        assert told["gateway"] == far.status["peer_id"]
        assert status(home)["roles"] == ["client"]
        assert json.loads(aiplat(home, "ask", "hi", "--json").stdout)["gateway"] == told["gateway"]
    nobody = aiplat(home, "ask", "--peer", far.address, "hi")
    assert nobody.returncode == 4
    assert nobody.stderr.count("\n") == 1
    alone = aiplat(home, "ask", "--model", "echo", "hi")  # a client alone has nobody to ask
    assert (alone.returncode, alone.stdout) == (0, "hi\n"), alone.stderr
    assert "gives way" in alone.stderr
    assert status(home)["roles"] == ["client", "gateway", "processor"]


def test_a_long_home_still_has_a_control_socket(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        Path(short).chmod(0o700)
        try:
            done = aiplat(home, "ask", "--model", "echo", "hi", XDG_RUNTIME_DIR=short)
            assert done.returncode == 0, done.stderr
            assert len(str(home / "state" / "control.sock")) > 100
            control = Path(status(home)["control"])  # another log-in, without XDG_RUNTIME_DIR
            assert control.parent == Path(short) / "aiplat"
        finally:
            assert aiplat(home, "stop").returncode == 0


# -- what is wrong is said in one sentence ---------------------------------------------------------


def one_sentence(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    error = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(error) == 1, done.stderr
    for part in parts:
        assert part in error[0]


@pytest.mark.parametrize("command", ["ask", "serve"])
def test_a_broken_config_names_file_key_and_line(home: Path, command: str) -> None:
    home.mkdir()
    config = home / "config.toml"
    config.write_text("# mine\n[node]\nheartbeat_seconds = 'soon'\n")
    words = ["hi"] if command == "ask" else []
    done = aiplat(home, command, *words)
    one_sentence(done, 1, f"{config}, line 3: heartbeat_seconds must be", "'soon'")
    config.write_text("[node\n")
    one_sentence(aiplat(home, command, *words), 1, f"{config} is not valid TOML", "line 1")


@pytest.mark.parametrize("command", ["ask", "serve"])
def test_a_key_that_others_may_read_is_refused(home: Path, command: str) -> None:
    aiplat(home, "ask", "--model", "echo", "hi")
    aiplat(home, "stop")
    key = home / "data" / "identity.key"
    key.chmod(0o644)
    done = aiplat(home, command, *(["hi"] if command == "ask" else []))
    one_sentence(done, 1, "mode 0644", f"chmod 600 {key}")


def test_a_node_that_cannot_start_says_why_through_the_face(home: Path) -> None:
    done = aiplat(
        home, "ask", "--model", "echo", "hi", AIPLAT_NODE_LISTEN="/ip4/127.0.0.1/tcp/notaport"
    )
    one_sentence(done, 1, "notaport")


def test_an_unknown_model_says_the_nearest(home: Path) -> None:
    one_sentence(aiplat(home, "ask", "--model", "smolm2", "hi"), 1, "Did you mean smollm2-135m?")
    one_sentence(aiplat(home, "serve", "--model", "smolm2"), 1, "Did you mean smollm2-135m?")
    assert not (home / "state" / "logs" / "node.jsonl").exists() or starts(home) == 0


def test_reset_shows_asks_and_keeps_the_identity(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home.parent / "cache"))  # never a person's models
    aiplat(home, "ask", "--model", "echo", "hi")
    who = status(home)["peer_id"]
    one_sentence(aiplat(home, "reset", "--yes"), 1, f"`aiplat --home {home} stop`")
    aiplat(home, "stop")
    refused = aiplat(home, "reset")
    one_sentence(refused, 2, "--yes")
    assert str(home / "state" / "token") in refused.stderr
    gone = aiplat(home, "reset", "--yes", "--json")
    assert gone.returncode == 0
    assert any(item["path"].endswith("token") for item in json.loads(gone.stdout)["removed"])
    assert not (home / "state" / "token").exists()
    aiplat(home, "ask", "--model", "echo", "hi")
    assert status(home)["peer_id"] == who
    aiplat(home, "stop")
    assert aiplat(home, "reset", "--all", "--yes").returncode == 0
    assert not home.exists()


def test_while_a_model_is_fetched_for_a_node_nobody_starts_another(
    home: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    lock = store.lock_of(store.place("org/slow", cache)[1])
    lock.parent.mkdir(parents=True)
    with (
        locked(lock, 1.0, lambda: None),  # another command fetches it, and takes its time
        subprocess.Popen(
            [*COMMAND, "--home", str(home), "serve", "--model", "org/slow"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environment(AIPLAT_CACHE=str(cache)), text=True,
        ) as serve,
    ):  # fmt: skip
        try:
            assert serve.stderr is not None
            assert any("Waiting for another pull" in line for line in serve.stderr)
            done = aiplat(home, "ask", "--model", "echo", "hi", AIPLAT_RUNTIME_START_SECONDS="1")
            assert done.returncode == 5, done.stderr
            assert "was not ready within 1 s" in done.stderr
            assert not (home / "state" / "logs" / "node.jsonl").exists(), "no node was started"
        finally:
            serve.kill()

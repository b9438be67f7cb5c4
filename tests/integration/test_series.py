"""Series of real nodes: seen by each role, over a death, in `aiplat share`, by the control API."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from aiplat.control.client import ControlClient
from aiplat.control.series import SeriesAsk, SeriesReply
from aiplat.domain.errors import InvalidRequest
from tests.support.fleet import Fleet
from tests.support.nodes import RunningNode, aiplat, chat, wait_for_model
from tests.support.waiting import eventually

ALONE = ("--listen", "/ip4/127.0.0.1/tcp/0", "--model", "echo", "--echo-rate", "0")
WHERE = "role = 'gateway' AND span = 60"
QUICK = ("--set", "series.flush_seconds=0.1")


def series(node: RunningNode, **ask: Any) -> SeriesReply:
    client = ControlClient(Path(str(node.status["control"])), timeout=30)
    return client.series(SeriesAsk(**({"since": int(time.time()) - 3600} | ask)))


def ask(node: RunningNode, *words: str) -> dict[str, Any]:
    done = aiplat(node.home, "ask", "--model", "echo", "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]  # it is an object


def on_disk(home: Path) -> int:
    path = home / "data" / "series.db"
    if not path.exists():
        return 0
    db = sqlite3.connect(path, timeout=5)
    try:
        [(found,)] = db.execute(f"SELECT SUM(requests) FROM seen WHERE {WHERE}").fetchall()
        return int(found or 0)
    except sqlite3.DatabaseError:  # it is being made, or what was there is not moved aside yet
        return 0
    finally:
        db.close()


def test_a_node_alone_sees_its_requests_by_each_role_and_keeps_them_over_a_kill(
    tmp_path: Path,
) -> None:
    node = RunningNode(tmp_path / "n", *ALONE, *QUICK)
    try:
        wait_for_model(node)
        assert ask(node, "one two three")["text"]
        status, _, _ = node.request("POST", "/v1/chat/completions", chat("four five"))
        assert status == 200
        by_role = {row.name: row for row in series(node, by="role", step=0).rows}
        assert {name: row.requests for name, row in by_role.items()} == {
            "client": 2, "gateway": 2, "processor": 2,
        }  # fmt: skip
        gateway = by_role["gateway"]
        assert gateway.completion_tokens == by_role["processor"].completion_tokens > 0
        assert gateway.prompt_tokens == by_role["processor"].prompt_tokens > 0
        assert gateway.first is not None and gateway.total is not None
        assert 0 < gateway.first.p50 <= gateway.first.p95 < 10
        found = series(node, role="gateway", by="peer")
        assert {row.name for row in found.rows} == {node.peer_id}
        assert {row.name for row in series(node, by="model").rows} == {"echo"}
        assert found.problem == ""
        with pytest.raises(InvalidRequest, match="since must be before until"):
            series(node, since=int(time.time()) + 10_000)

        eventually(lambda: on_disk(node.home) == 2, what="the figures on the disk")
        assert (node.home / "data" / "series.db").stat().st_mode & 0o777 == 0o600
        node.kill()
    finally:
        node.close()
    node = RunningNode(tmp_path / "n", *ALONE)
    try:
        wait_for_model(node)
        ask(node, "six")
        assert series(node, role="gateway").total.requests == 3
        assert node.stop() == 0
        assert on_disk(node.home) == 3, "an orderly end loses nothing"
    finally:
        node.close()


def test_a_broken_file_is_moved_aside_and_the_node_serves(tmp_path: Path) -> None:
    (tmp_path / "n" / "data").mkdir(parents=True, mode=0o700)
    (tmp_path / "n" / "data" / "series.db").write_bytes(b"rubbish" * 1000)
    node = RunningNode(tmp_path / "n", *ALONE, *QUICK)
    try:
        wait_for_model(node)
        ask(node, "hello")
        eventually(lambda: on_disk(node.home) == 1)
        assert (node.home / "data" / "series.db.broken-1").exists()
    finally:
        node.close()


@pytest.mark.slow
def test_what_a_machine_gave_and_another_took_is_told(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        gateway = fleet.found("g", "--role", "gateway", "--role", "client")
        processor = fleet.member("p", "processor", "--model", "echo", "--echo-rate", "0")
        fleet.wait_until_sees("g", "p")
        tokens = sum(ask(gateway, text)["usage"]["completion_tokens"] for text in ("a b", "c d e"))
        share = json.loads(aiplat(fleet.home("p"), "share", "--json").stdout)["exchange"]
        assert share["gave_day"]["requests"] == share["gave_month"]["requests"] == 2
        assert share["gave_day"]["completion_tokens"] == tokens
        assert share["took_day"]["requests"] == 0
        assert (
            f"gave      2 requests, {tokens} tokens in 24 h"
            in aiplat(fleet.home("p"), "share").stdout
        )
        told = aiplat(fleet.home("g"), "share").stdout  # it runs no models
        assert "and so gives nothing" in told
        assert f"took      2 requests, {tokens} tokens in 24 h" in told
        refused = aiplat(fleet.home("g"), "share", "--pause")
        assert (refused.returncode, "and no processor" in refused.stderr) == (2, True)
        [took] = series(gateway, role="client", by="peer", step=0).rows
        assert (took.name, took.requests) == (processor.peer_id, 2)
        [asked] = series(processor, by="peer", step=0).rows
        assert (asked.name, asked.requests) == (gateway.peer_id, 2)

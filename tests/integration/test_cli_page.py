"""What the page stands on, with a real node: settings that change, log-ins, links."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import COMMAND, RunningNode, aiplat, environment
from tests.support.waiting import eventually

PASSWORD = "korrekt-horse-9137"
NEW = "another-horse-4411"
NAME = "accounts.registration"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path / "g", "--model", "echo", "--echo-rate", "20")
    try:
        yield node
    finally:
        node.close()


def run(
    node: RunningNode, *words: str, code: int = 0, stdin: str = "", key: str | None = None
) -> Any:
    """One command, with a credential; gives its JSON, or what it said when it failed."""
    shown: Any = {} if key is None else {"AIPLAT_API_KEY": key}
    done = aiplat(node.home, *words, "--json", stdin=stdin, **shown)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return json.loads(done.stdout) if code == 0 else done.stdout + done.stderr


def setting(node: RunningNode) -> dict[str, Any]:
    """What is told of the registration."""
    [found] = [s for s in run(node, "settings", "list")["settings"] if s["name"] == NAME]
    return dict(found)


def token_of(node: RunningNode) -> str:
    """The session that the node keeps in the clear."""
    text = (node.home / "data" / "credentials-secrets.json").read_text()
    return next(part for part in text.split('"') if part.startswith("ses-aip-"))


def register(node: RunningNode) -> None:
    words = ("register", "--name", "ann", "--insecure-storage")
    run(node, *words, stdin=f"{PASSWORD}\n")


def test_a_setting_changes_at_once_and_outlives_the_node(node: RunningNode) -> None:
    words = ("register", "--name", "ann", "--insecure-storage")
    told = run(node, *words, stdin=f"{PASSWORD}\n", code=3)
    assert "takes no registrations" in told
    assert "must be one of" in run(node, "settings", "set", NAME, "yes", code=2)
    run(node, "settings", "set", NAME, "open")
    register(node)
    assert "Only an operator" in run(node, "settings", "set", NAME, "closed", code=3)
    run(node, "logout")
    node.close()
    again = RunningNode(node.home, "--model", "echo")
    try:
        assert (setting(again)["value"], setting(again)["source"]) == ('"open"', "changed")
        run(again, "settings", "reset", NAME)
        assert setting(again)["source"] == "default"
        log = run(again, "users", "audit")["entries"]
        assert [e["detail"] for e in log if e["action"] == "setting.set"] == ["open"]
    finally:
        again.close()
    fixed = RunningNode(
        node.home, "--model", "echo", environ={"AIPLAT_ACCOUNTS_REGISTRATION": "invite"}
    )
    try:
        everything = run(fixed, "settings", "list", "--all")["settings"]
        [found] = [s for s in everything if s["name"] == NAME]
        assert (found["value"], found["source"], found["changes"]) == (
            '"invite"', "environment", False,
        )  # fmt: skip
        told = run(fixed, "settings", "set", NAME, "open", code=2)
        assert "cannot be changed now" in told
    finally:
        fixed.close()


def test_a_log_in_asks_for_its_user_and_ends_with_it(node: RunningNode) -> None:
    run(node, "settings", "set", NAME, "open")
    register(node)
    [session] = run(node, "sessions", "list")["sessions"]
    assert (session["label"], session["current"], session["source"]) == (
        "aiplat register", True, "",
    )  # fmt: skip
    token = token_of(node)
    done = aiplat(node.home, "ask", "-", stdin="one two three", AIPLAT_API_KEY=token)
    assert (done.returncode, done.stdout.strip()) == (0, "one two three")
    rows = eventually(lambda: run(node, "usage", "--by", "key")["rows"])
    assert [row["name"] for row in rows] == ["no key (ann)"]
    assert at_the_door(node, token) == 401
    run(node, "password", stdin=f"{PASSWORD}\n{NEW}\n")
    run(node, "logout")
    assert "the session" in run(node, "ask", "-", stdin="x", code=3, key=token).lower()


def at_the_door(node: RunningNode, token: str) -> int:
    """How /v1 answers somebody with a session."""
    base = run(node, "status")["http"]
    asked = urllib.request.Request(
        f"{base}/v1/models", headers={"authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


def test_a_user_that_is_disabled_has_no_more_of_an_answer(node: RunningNode) -> None:
    run(node, "settings", "set", NAME, "open")
    register(node)
    token = token_of(node)
    with subprocess.Popen(
        [*COMMAND, "--home", str(node.home), "ask", "-"],
        env=environment(AIPLAT_API_KEY=token), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as asking:  # fmt: skip
        assert asking.stdin is not None and asking.stdout is not None and asking.stderr is not None
        asking.stdin.write(b"word " * 1200)  # a minute of answer
        asking.stdin.close()
        assert asking.stdout.read1(1), "it began"  # type: ignore[attr-defined]  # it is buffered
        run(node, "logout")  # the owner again; this ends the session, and with it the answer
        began = time.monotonic()
        told = asking.stderr.read().decode()
        assert time.monotonic() - began < 10
        assert asking.wait(10) == 3
    assert "session" in told
    assert "is disabled" in run(node, "users", "disable", "ann")["message"]
    told = run(node, "login", "--name", "ann", "--insecure-storage", stdin=f"{PASSWORD}\n", code=3)
    assert "is disabled by the gateway's operator" in told


def test_the_link_is_for_the_door_of_this_machine(node: RunningNode) -> None:
    made = run(node, "open")
    base, _, code = made["url"].partition("/open#")
    assert code.startswith("open-aip-")
    with urllib.request.urlopen(f"{base}/healthz", timeout=30) as answer:
        assert answer.status == 200
    assert code not in node.stderr_path.read_text()
    for path in (node.home / "state" / "logs").iterdir():
        assert code not in path.read_text()

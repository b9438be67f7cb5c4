"""The life of an account by commands alone, from one machine at a gateway on another.

No secret and no prompt is in any list of processes meanwhile, nor in any file, log or metric
afterwards.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.keyrings import secret_service
from tests.support.nodes import Door, RunningNode, aiplat, chat, environment
from tests.support.processes import command_lines_seen
from tests.support.waiting import eventually

PASSWORD = "korrekt-horse-9137"
PROMPT = "xylophone secrets of the quiet harbour"
TOKENS = """
import sys
from pathlib import Path
from aiplat.credentials.credentials import Credentials
ours = Credentials(sys.argv[1], Path(sys.argv[2]), seconds=60)
for held in ours.held():
    if held.kind == "session":
        print(ours.secret_of(held))
"""


@dataclass
class Walk:
    """A gateway of one person, a client of another; the client's keyring, or a file instead."""

    gateway: RunningNode
    client: RunningNode
    environ: dict[str, str]
    storage: tuple[str, ...]
    secrets: list[str] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)
    """The command lines of all processes, while the person's commands ran."""

    def operator(self, *arguments: str) -> str:
        done = aiplat(self.gateway.home, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def person(self, *arguments: str, stdin: str = "", code: int = 0, **extra: str) -> str:
        environ: Any = self.environ | extra  # which holds none of `aiplat`'s own arguments
        with command_lines_seen(self.seen):
            done = aiplat(self.client.home, *arguments, stdin=stdin, **environ)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def ask(self, *arguments: str, code: int = 0, **extra: str) -> str:
        """Ask with the prompt piped in: on the command line everybody here may read it."""
        return self.person("ask", *arguments, "-", stdin=PROMPT, code=code, **extra)

    def token(self) -> str:
        """The session that is kept, read as its node reads it."""
        done = subprocess.run(
            [sys.executable, "-c", TOKENS, self.client.peer_id, str(self.client.home / "data")],
            env=environment(**self.environ), capture_output=True, text=True, check=True,
            timeout=120,
        )  # fmt: skip
        (token,) = done.stdout.split()
        assert token.startswith("ses-aip-")
        return token


@pytest.fixture(params=["keyring", "file"])
def walk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Walk]:
    with ExitStack() as stack:
        environ: dict[str, str] = {}
        storage: tuple[str, ...] = ("--insecure-storage",)
        if request.param == "keyring":
            environ = stack.enter_context(secret_service(tmp_path / "desk"))
            storage = ()
        gateway = RunningNode(
            tmp_path / "g", "--model", "echo",
            environ={"AIPLAT_ACCOUNTS_REGISTRATION": "invite", "DEBUG": "1"},
        )  # fmt: skip
        stack.callback(gateway.close)
        client = RunningNode(
            tmp_path / "c", "--role", "client", "--peer", gateway.address,
            environ=environ | {"DEBUG": "1"},
        )  # fmt: skip
        stack.callback(client.close)
        yield Walk(gateway, client, environ, storage)


def test_register_make_a_key_ask_and_see_what_it_came_to(walk: Walk) -> None:
    invited = json.loads(walk.operator("users", "invite", "--json"))
    assert "Register" not in walk.ask(code=3), "nobody asks without a key"
    line, ann = f"{PASSWORD}\n", ("--name", "ann", *walk.storage)
    walk.person("register", *ann, stdin=line, code=3)  # by invitation
    walk.person("register", *ann, stdin=f"{line}{invited['code']}\n")
    walk.secrets.append(walk.token())
    walk.person("login", *ann, stdin=line)
    walk.secrets.append(walk.token())
    assert walk.secrets[0] != walk.secrets[1]
    assert json.loads(walk.person("whoami", "--json"))["user"]["name"] == "ann"

    key = walk.person("keys", "create", "--name", "laptop", "--tpm", "20k", *walk.storage).strip()
    other = json.loads(walk.person("keys", "create", "--name", "other", "--json"))
    assert {"id", "name", "key"} <= other.keys() and other["key"] != key
    walk.secrets += [PASSWORD, invited["code"], key, other["key"]]
    kept = json.loads(walk.person("keys", "list", "--json"))["keys"]
    assert {one["name"]: bool(one.get("kept")) for one in kept} == {"laptop": True, "other": False}

    assert walk.ask().strip() == PROMPT
    own = json.loads(walk.ask("--json", AIPLAT_API_KEY=other["key"]))
    with Door(walk.client) as door:  # the person's key stands behind the local door too
        assert door.request("POST", "/v1/chat/completions", chat(PROMPT))[0] == 200
    with Door(walk.gateway, key) as door:
        status, headers, _ = door.request("POST", "/v1/chat/completions", chat(PROMPT))
    assert status == 200
    assert headers["x-ratelimit-limit-tokens"] == "20000"
    assert 0 < int(headers["x-ratelimit-remaining-tokens"]) < 20_000

    one = own["usage"]["prompt_tokens"], own["usage"]["completion_tokens"]
    told = eventually(lambda: _usage_of(walk, 4))
    assert told is not None
    assert {row["name"]: row["requests"] for row in told["rows"]} == {
        "laptop (ann)": 3, "other (ann)": 1
    }  # fmt: skip
    total = told["total"]
    assert (total["prompt_tokens"], total["completion_tokens"]) == (4 * one[0], 4 * one[1])
    assert total["total_tokens"] == 4 * sum(one)
    for row in (*told["rows"], total):
        assert row["total_tokens"] == row["prompt_tokens"] + row["completion_tokens"]

    status, _, page = walk.gateway.request("GET", "/metrics")
    assert status == 200
    assert re.search(rb'aiplat_accounts_events_total\{outcome="stop"\} 4\.0', page)
    assert re.search(rb'aiplat_auth_failures_total\{reason="missing"\} 1\.0', page)

    _nowhere_in_the_clear(walk, page)
    walk.person("keys", "revoke", "laptop", "--yes")
    assert "revoked" in walk.ask(code=3, AIPLAT_API_KEY=key)
    walk.operator("users", "disable", "ann")
    assert "disabled" in walk.ask(code=3, AIPLAT_API_KEY=other["key"])


def _usage_of(walk: Walk, requests: int) -> dict[str, Any] | None:
    told: dict[str, Any] = json.loads(walk.person("usage", "--by", "key", "--json"))
    return told if told["total"]["requests"] == requests else None


def _nowhere_in_the_clear(walk: Walk, metrics: bytes) -> None:
    """Grep every file of both homes, the metrics and the lists of processes."""
    for command in (["register"], ["login"], ["keys", "create"], ["ask"]):
        words = "\0".join(["--home", str(walk.client.home), *command]).encode()
        assert any(words in line for line in walk.seen), f"{command} was not looked at"
    wanted = [text.encode() for text in (*walk.secrets, PROMPT)]
    wanted += [text.rpartition("-")[2].encode() for text in walk.secrets if "-aip-" in text]
    places = {"metrics": metrics, "command lines": b"\n".join(walk.seen)}
    for home in (walk.gateway.home, walk.client.home):
        for path in home.rglob("*"):
            if path.is_file() and path.name != "credentials-secrets.json":  # --insecure-storage
                places[str(path)] = path.read_bytes()
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                places[f"{process}/{name}"] = (process / name).read_bytes()
            except OSError:
                continue  # it ended meanwhile
    found = {place for place, data in places.items() for text in wanted if text in data}
    assert not found
    log = (walk.gateway.home / "state" / "logs" / "node.jsonl").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    ends = [line for line in lines if line.get("outcome") == "stop"]
    assert len(ends) == 4 and all(line["request"] and line["key"] for line in ends)

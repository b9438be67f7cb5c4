"""A person at a terminal: passwords and codes are asked for, typed wrong, and shown nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.support.nodes import RunningNode, aiplat
from tests.support.terminals import Terminal

pytestmark = pytest.mark.slow

PASSWORD = "hunter2222"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningNode]:
    node = RunningNode(
        tmp_path / "g", "--model", "echo", environ={"AIPLAT_ACCOUNTS_REGISTRATION": "invite"}
    )
    try:
        yield node
    finally:
        node.kill()
        node.close()


def test_an_account_from_first_to_last_at_a_terminal(gateway: RunningNode, tmp_path: Path) -> None:
    home = tmp_path / "c"
    code = json.loads(aiplat(gateway.home, "users", "invite", "--json").stdout)["code"]
    with ExitStack() as stack:
        stack.callback(aiplat, home, "stop", "--now")

        def at(*words: str) -> Terminal:
            return stack.enter_context(closing(Terminal(home, *words)))

        register = at("register", "--gateway", gateway.address, "--insecure-storage")
        for asked, typed in (
            ("Name: ", "ann"),
            ("New password for ann: ", PASSWORD), ("The same again: ", "another22"),
            ("The two differ.", ""),
        ):  # fmt: skip
            register.until(asked)
            if typed:
                register.type(f"{typed}\n")
        for asked, typed in (
            ("New password for ann: ", "short"), ("The same again: ", "short"),
            ("Invitation code: ", "nonsense"),
            ("New password for ann: ", PASSWORD), ("The same again: ", PASSWORD),
            ("Invitation code: ", code),
        ):  # fmt: skip
            register.until(asked)
            register.type(f"{typed}\n")
        assert register.end() == 0
        for secret in (PASSWORD, "another22", "nonsense", code):
            assert secret not in register.text

        login = at("login", "--name", "ann", "--insecure-storage")
        for typed in ("wrongwrong", PASSWORD):
            login.until("Password for ann: ")
            login.type(f"{typed}\n")
        assert login.end() == 0
        assert "The name or the password is wrong" in " ".join(login.text.split())
        assert PASSWORD not in login.text

        create = at("keys", "create", "--name", "lap", "--insecure-storage")
        assert create.end() == 0
        assert [line[:7] for line in create.text.splitlines() if "sk-aip" in line] == ["sk-aip-"]

        revoke = at("keys", "revoke", "lap")
        for typed in ("x", "lap"):
            revoke.until("nothing to leave it: ")
            revoke.type(f"{typed}\n")
        assert revoke.end() == 0
        assert "'lap'" in revoke.text

        without = at("login", "--name", "ann")  # it has no keyring, and says so at once
        assert without.end() == 1
        assert "keyring" in without.text
        assert "Password" not in without.text

        for end in ("\x03", "\x04"):
            left = at("login", "--name", "ann", "--insecure-storage")
            left.until("Password for ann: ")
            left.type(end)
            assert left.end() == 130
            assert "Traceback" not in left.text

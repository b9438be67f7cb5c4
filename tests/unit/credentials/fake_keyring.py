"""A keyring of a test's: real as far as its class tells, and as good or bad as the test wants.

And credentials that are kept in it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from aiplat.credentials.backends import Backend
from aiplat.credentials.credentials import Credentials
from aiplat.credentials.held import Held
from aiplat.domain.ids import PeerId

GATEWAY = PeerId("gatewayA")
OTHER = PeerId("gatewayB")
NODE = PeerId("nodeA")
SERVICE = f"aiplat:{NODE}"
SECRET = "sk-aip-abc-" + "s3cr3t" * 7


def key(id: str = "abc", **fields: object) -> Held:
    """A key for the gateway, with whatever else it shall say."""
    whole: dict[str, object] = {"kind": "key", "id": id, "gateways": (GATEWAY,)}
    return Held(**(whole | fields))  # type: ignore[arg-type] # what a test says


class FakeKeyring:
    """Keeps secrets in `kept`. `before` is called at the start of each call, with its name."""

    priority = 5.0

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda call: None

    def get_password(self, service: str, username: str) -> str | None:
        self._called("get")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._called("set")
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._called("delete")
        del self.kept[service, username]

    def _called(self, call: str) -> None:
        self.calls.append(call)
        self.before(call)


class Broken(FakeKeyring):
    """Each call raises `fault`."""

    def __init__(self, fault: BaseException) -> None:
        super().__init__()
        self.fault = fault
        self.before = self._raise

    def _raise(self, call: str) -> None:
        raise self.fault


class Hanging(FakeKeyring):
    """Each call hangs until `answer` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = threading.Event()
        self.before = lambda call: self._hang()

    def _hang(self) -> None:
        assert self.answer.wait(60)


PLENTY = 60.0
"""Seconds for a call that is to succeed, on a machine with much else to do."""


def credentials(
    folder: Path, keyring: Backend, *, node: PeerId = NODE, seconds: float = PLENTY, now: int = 1000
) -> Credentials:
    return Credentials(node, folder, open_keyring=lambda: keyring, seconds=seconds, now=lambda: now)


def no_keyring() -> Broken:
    return Broken(OSError("no bus"))

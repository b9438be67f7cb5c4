"""What a home's person is told of its keyring: what is held, by name, and never a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiplat.credentials import credentials as keeping
from aiplat.credentials.credentials import Credentials
from aiplat.credentials.errors import NoKeyring
from aiplat.credentials.held import Held
from aiplat.domain.ids import PeerId
from aiplat.node.identity import load_or_create
from aiplat.runtime.keyring_state import keyring_state, without_node
from aiplat.runtime.places import find_places

GATEWAY = PeerId("12D3KooWGateway1234")
SECRET = "sk-aip-x-SECRETSECRET"


class Ring:
    """A keyring in memory, as good as a real one."""

    priority = 5
    name = "Test Keyring"

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str, /) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str, /) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str, /) -> None:
        self.kept.pop((service, username))


def none() -> Ring:
    raise NoKeyring("There is none.", "Install one.")


def test_what_is_held_is_named_without_its_secret(tmp_path: Path) -> None:
    credentials = Credentials(PeerId("12D3KooWme"), tmp_path, open_keyring=Ring)
    key = Held(kind="key", id="k1", name="laptop", user="ann", gateways=(GATEWAY,))
    session = Held(kind="session", id="s1", gateways=(GATEWAY, PeerId("12D3KooWOther98765432")))
    credentials.keep(key, SECRET)
    without = Credentials(PeerId("12D3KooWme"), tmp_path, open_keyring=none)
    without.keep(session, SECRET, insecure=True)
    told = keyring_state(credentials)
    assert told.usable
    assert told.held == (
        "key laptop of ann (k1) for the gateway …eway1234, in the keyring",
        "session (s1) for the gateway …eway1234 or …98765432, in the file",
    )
    assert told.insecure == 1
    assert "SECRET" not in repr(told)
    told = keyring_state(without)
    assert (told.usable, told.reason, told.mend) == (False, "There is none.", "Install one.")
    assert len(told.held) == 2


def test_a_broken_index_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{")
    (tmp_path / "credentials.json").chmod(0o600)
    told = keyring_state(Credentials(PeerId("12D3KooWme"), tmp_path, open_keyring=Ring))
    assert not told.usable
    assert "credentials.json" in told.reason
    assert told.held == ()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    made: list[tuple[str, Path]] = []

    class Known(Credentials):
        def __init__(self, node: PeerId, folder: Path, **how: Any) -> None:
            made.append((node, folder))
            super().__init__(node, folder, open_keyring=Ring)

    monkeypatch.setattr(keeping, "Credentials", Known)
    return made


def test_without_a_node_a_homes_own_entries_are_looked_at_and_nothing_is_made(
    tmp_path: Path, asked: list[tuple[str, Path]]
) -> None:
    places = find_places(str(tmp_path / "h"), {})
    assert without_node(places).usable
    assert not (tmp_path / "h").exists()
    places.prepare()
    own = load_or_create(places.identity).peer_id
    assert without_node(places).held == ()
    assert asked == [("none", places.data), (own, places.data)]

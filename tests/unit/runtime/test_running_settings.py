"""Settings of a node that runs: which change, what wins, what is kept, and who follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiplat.accounts.settings import AccountsSettings
from aiplat.control.running import SettingStatus
from aiplat.domain.errors import ConfigError, InvalidRequest
from aiplat.http.settings import HttpSettings
from aiplat.roles.settings import GatewaySettings
from aiplat.runtime.changes_file import ChangesFile
from aiplat.runtime.places import Places, find_places
from aiplat.runtime.running_settings import RunningSettings
from aiplat.runtime.settings import RuntimeSettings, load_settings

REGISTRATION = "accounts.registration"


class Node:
    """A node's settings, and what its parts follow."""

    def __init__(self, home: Path, environ: dict[str, str] | None = None, **overrides: str) -> None:
        self.places: Places = find_places(str(home), {})
        self.places.prepare()
        told = {name.replace("__", "."): value for name, value in overrides.items()}
        loaded = load_settings(self.places, environ or {}, told)
        self.followed: list[Any] = []
        follow = self.followed.append
        self.running = RunningSettings(
            loaded, ChangesFile(self.places.changes),
            {AccountsSettings: follow, GatewaySettings: follow, RuntimeSettings: follow},
            {"runtime.log_level": "the environment variable DEBUG has everything logged"},
            {"http.bind": "127.0.0.1:9"},
        )  # fmt: skip

    def told(self, name: str) -> SettingStatus:
        [found] = [s for s in self.running.listed(changing=False) if s.name == name]
        return found

    async def set(self, name: str, value: str | None) -> SettingStatus:
        self.running.check(name, value)
        return await self.running.change(name, value)

    def refuses(self, name: str, value: str | None, words: str) -> InvalidRequest:
        with pytest.raises(InvalidRequest, match=words) as caught:
            self.running.check(name, value)
        return caught.value


async def test_a_change_holds_now_and_at_the_next_start(tmp_path: Path) -> None:
    node = Node(tmp_path)
    assert node.told(REGISTRATION).source == "default"
    told = await node.set(REGISTRATION, "invite")
    assert (told.value, told.source, told.default) == ('"invite"', "changed", '"closed"')
    assert told.changes
    assert told.choices == ("closed", "invite", "open")
    await node.set("gateway.max_waiting", "7")
    assert [one.registration for one in node.followed[:1]] == ["invite"]
    assert node.followed[1].max_waiting == 7
    assert node.places.changes.stat().st_mode & 0o777 == 0o600
    again = Node(tmp_path)
    assert again.told(REGISTRATION).source == "changed"
    assert load_settings(again.places, {})[AccountsSettings].registration == "invite"
    told = await again.set(REGISTRATION, None)
    assert (told.value, told.source) == ('"closed"', "default")
    assert again.followed[0].registration == "closed"
    assert load_settings(again.places, {})[GatewaySettings].max_waiting == 7


async def test_it_is_over_the_file_which_holds_again_after_a_reset(tmp_path: Path) -> None:
    places = find_places(str(tmp_path), {})
    places.prepare()
    places.config_file.write_text('[accounts]\nregistration = "open"\nmax_users = 9\n')
    node = Node(tmp_path)
    assert node.told(REGISTRATION).source == "file"
    await node.set(REGISTRATION, "invite")
    assert node.followed[0].max_users == 9
    told = await node.set(REGISTRATION, None)
    assert (told.value, told.source) == ('"open"', "file")


@pytest.mark.parametrize(
    ("environ", "overrides", "words"),
    [
        ({"AIPLAT_ACCOUNTS_REGISTRATION": "open"}, {},
         "the environment variable AIPLAT_ACCOUNTS_REGISTRATION sets it, which comes first"),
        ({}, {"accounts__registration": "open"},
         "the command line's accounts.registration sets it, which comes first"),
    ],
)  # fmt: skip
async def test_what_started_the_node_wins_and_is_shown(
    tmp_path: Path, environ: dict[str, str], overrides: dict[str, str], words: str
) -> None:
    first = Node(tmp_path)
    await first.set(REGISTRATION, "invite")
    node = Node(tmp_path, environ, **overrides)
    told = node.told(REGISTRATION)
    assert (told.value, told.changes, told.fixed) == ('"open"', False, words)
    for value in ("closed", None):
        error = node.refuses(REGISTRATION, value, "cannot be changed now: the ")
        assert error.param == "name"
    assert REGISTRATION not in {s.name for s in node.running.listed(changing=True)}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("accounts.registrations", "open", "There is no setting 'accounts.registrations'. Did you"),
        ("", "x", "There is no setting ''"),
        (REGISTRATION, "opne", "must be one of closed, invite, open, but is 'opne'. Its default"),
        ("accounts.max_users", "0", "must be a whole number from 1 to 10000000, but is '0'"),
        ("accounts.max_users", "many", "must be a whole number"),
        ("accounts.max_users", "9" * 1001, "at most 1000 characters, this one 1001"),
        ("accounts.hashing", "3", "is read when a node starts"),
        ("http.max_requests", "3", "is read when a node starts"),
        ("runtime.log_level", "debug", "DEBUG has everything logged"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused_and_nothing_kept(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    node = Node(tmp_path)
    node.refuses(name, value, words)
    assert not node.places.changes.exists()
    assert node.followed == []


def test_each_that_changes_is_one_that_is_followed(tmp_path: Path) -> None:
    node = Node(tmp_path)
    names = {s.name for s in node.running.listed(changing=True)}
    assert {REGISTRATION, "accounts.requests_per_minute", "gateway.queue_seconds"} <= names
    assert {name.partition(".")[0] for name in names} == {"accounts", "gateway", "runtime"}
    everything = node.running.listed(changing=False)
    assert len(everything) == len({s.name for s in everything}) > len(names)
    bind = node.told("http.bind")
    assert (bind.value, bind.source, bind.changes) == ('"127.0.0.1:9"', "command line", False)
    assert HttpSettings().bind == "127.0.0.1:8777"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "holds no settings"), ("[1]", "holds no settings"),
        ('{"accounts.nothing": "x"}', "There is no setting 'accounts.nothing'"),
        ('{"accounts.registration": "x"}', "accounts.registration: registration must be one of"),
    ],
)  # fmt: skip
def test_a_damaged_file_stops_the_start(tmp_path: Path, text: str, words: str) -> None:
    places = find_places(str(tmp_path), {})
    places.prepare()
    places.changes.touch(0o600)
    places.changes.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_settings(places, {})
    assert "settings.json" in str(caught.value)


async def test_where_it_cannot_be_kept_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path)

    def full(self: ChangesFile, changes: object) -> None:
        raise ConfigError("no room")

    monkeypatch.setattr(ChangesFile, "keep", full)
    with pytest.raises(ConfigError, match="no room"):
        await node.set(REGISTRATION, "open")
    assert node.followed == []
    assert node.told(REGISTRATION).source == "default"

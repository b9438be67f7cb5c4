"""Settings, for operators: who may, what is written down, and what follows at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from aiplat.control.accounts import RoleWish
from aiplat.control.running import SettingName, SettingsAsk, SettingStatus, SettingWish
from aiplat.control.sessions import WEB
from aiplat.domain.errors import InvalidRequest, NotReady, PermissionDenied
from tests.unit.accounts.helpers import PEER, Home, refused

PAGE = f"{WEB}203.0.113.5"
NAME = "accounts.registration"


class Node:
    """A node with one setting."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.value = "closed"
        home.accounts.when_tuned(self)

    def status(self) -> SettingStatus:
        return SettingStatus(
            name=NAME, about="", kind="", value=self.value, default="closed", changes=True
        )

    def listed(self, *, changing: bool) -> tuple[SettingStatus, ...]:
        return (self.status(),)

    def check(self, name: str, value: str | None) -> None:
        if name != NAME:
            raise InvalidRequest(f"There is no setting {name!r}.", param="name")

    async def change(self, name: str, value: str | None) -> SettingStatus:
        self.value = value or "closed"
        told = replace(self.home.accounts.settings, registration=self.value)
        self.home.accounts.follow(told)
        return self.status()


async def test_an_operator_changes_it_and_that_is_written_down(tmp_path: Path) -> None:
    home = Home(tmp_path)
    Node(home)
    async with home.running():
        with refused(PermissionDenied, "takes no registrations"):
            await home.register("ann")
        await home.ask("settings.set", SettingWish(name=NAME, value="open"))
        ann = await home.register("ann")
        for method, wish in (
            ("settings.list", SettingsAsk()),
            ("settings.set", SettingWish(name=NAME, value="open")),
            ("settings.reset", SettingName(name=NAME)),
        ):
            with refused(PermissionDenied, "Only an operator"):
                await home.ask(method, wish, ann.token, PAGE)
        await home.ask("users.role", RoleWish(name="ann", role="operator"))
        [told] = (await home.ask("settings.list", SettingsAsk(), ann.token, PAGE)).settings
        assert told.value == "open"
        told = await home.ask("settings.reset", SettingName(name=NAME), ann.token, PAGE)
        assert told.value == "closed"
        with refused(PermissionDenied, "takes no registrations"):
            await home.register("bob")
        with refused(InvalidRequest, "There is no setting"):
            await home.ask("settings.set", SettingWish(name="x", value="open"), ann.token, PAGE)
        log = home.rows("SELECT action, target, detail, peer FROM audit WHERE action LIKE 'set%'")
        assert log == [("setting.set", NAME, "open", ""), ("setting.reset", NAME, "", PAGE)]


async def test_before_the_node_says_what_it_has_nothing_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        with refused(NotReady, "cannot be changed yet"):
            await home.ask("settings.list", SettingsAsk())


@pytest.mark.parametrize(
    ("changes", "limit"), [({"requests_per_minute": 7}, 7), ({"requests_per_minute": 0}, None)]
)
async def test_other_defaults_are_of_those_who_come_after(
    tmp_path: Path, changes: dict[str, int], limit: int | None
) -> None:
    home = Home(tmp_path, registration="open", requests_per_minute=5)
    async with home.running():
        await home.register("ann")
        home.accounts.follow(replace(home.accounts.settings, **changes))
        await home.register("bob")
        assert home.user("ann").limits.requests_per_minute == 5
        assert home.user("bob").limits.requests_per_minute == limit
        [subject] = home.accounts.admission.peer(f"peer:{PEER}")
        assert subject.limits.requests_per_minute == limit


async def test_who_may_ask_without_a_key_follows_too(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        seen = [home.accounts.admission.keyless]
        for changes in ({"registration": "open"}, {"registration": "closed"}, {"keyless": "none"}):
            home.accounts.follow(replace(home.accounts.settings, **changes))
            seen.append(home.accounts.admission.keyless)
        assert seen == [True, False, True, False]

"""What a person set is kept whole, by the newest, whoever else writes at the same time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from aiplat.domain.errors import ConfigError
from aiplat.tui.preferences import Preferences, PreferencesFile
from tests.support.screens import ScriptedLink, app_of, drive, running


def test_the_newest_is_written_once(tmp_path: Path) -> None:
    file = PreferencesFile(tmp_path / "terminal.json")
    file.keep(Preferences(theme="one"))
    file.keep(Preferences(theme="two"))
    file.flush()
    assert file.read() == (Preferences(theme="two"), "")
    (tmp_path / "terminal.json").unlink()
    file.flush()
    assert not list(tmp_path.iterdir())


def test_two_programs_that_write_at_once_do_not_mix(tmp_path: Path) -> None:
    faults: list[Exception] = []

    def write(theme: str) -> None:
        own = PreferencesFile(tmp_path / "terminal.json")
        try:
            for _ in range(100):
                own.write(Preferences(theme=theme))
        except ConfigError as fault:
            faults.append(fault)

    themes = ["a" * 3000, "b"]
    threads = [threading.Thread(target=write, args=(theme,)) for theme in themes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not faults
    found, wrong = PreferencesFile(tmp_path / "terminal.json").read()
    assert found.theme in themes and not wrong
    assert [path.name for path in tmp_path.iterdir()] == ["terminal.json"]


def test_what_cannot_be_written_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "terminal.json").mkdir()
    with pytest.raises(ConfigError, match="until the end of this run"):
        PreferencesFile(tmp_path / "terminal.json").write(Preferences())
    assert [path.name for path in tmp_path.iterdir()] == ["terminal.json"]


def test_they_are_written_in_a_thread_and_before_the_end(tmp_path: Path) -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(), folder=tmp_path)
        file, write, seen = app.preferences_file, app.preferences_file.write, []

        def slow(preferences: Preferences) -> None:
            seen.append(threading.current_thread() is threading.main_thread())
            write(preferences)

        file.write = slow  # type: ignore[method-assign]  # to see who writes
        async with running(app) as pilot:
            app.set_preferences(Preferences(theme="nord", animation=False, welcomed=True))
            assert not seen
            while not seen:
                await pilot.pause(0.01)
            assert seen == [False]
            app.set_preferences(Preferences(theme="dracula", animation=False, welcomed=True))
        assert file.read()[0].theme == "dracula"

    drive(test)

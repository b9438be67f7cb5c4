"""What a form reads of what was typed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from textual.widgets import Input

from aiplat.domain.conversations import ConversationSettings
from aiplat.domain.errors import InvalidRequest
from aiplat.tui.chat.editor import edit, undisturbed
from aiplat.tui.chat.forms import settings_form, settings_from
from aiplat.tui.dialogs import Field, Form
from tests.support.screens import ScriptedLink, app_of, drive, running, text_of, until

TYPED = {"system": "", "temperature": "", "top_p": "", "max_tokens": ""}


@pytest.mark.parametrize("field", ["temperature", "top_p", "max_tokens"])
@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999", "9" * 5000, "many", "1e3.5"])
def test_what_is_no_number_is_refused(field: str, text: str) -> None:
    with pytest.raises(InvalidRequest):
        settings_from(ConversationSettings(), {**TYPED, field: text})


def test_numbers_are_kept_and_shown_as_they_were_typed() -> None:
    settings = settings_from(
        ConversationSettings(),
        {**TYPED, "temperature": "0,7", "top_p": "1", "max_tokens": "1000000"},
    )
    assert (settings.temperature, settings.top_p, settings.max_tokens) == (0.7, 1.0, 1000000)
    shown = {field.name: field.value for field in settings_form(settings)._fields}
    assert shown == {"system": "", "temperature": "0.7", "top_p": "1", "max_tokens": "1000000"}


def test_a_check_that_breaks_is_a_fault_line_and_not_the_end() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app) as pilot:

            def broken(values: dict[str, str]) -> None:
                raise OverflowError(f"hidden {values}")

            app.push_screen(Form("Some", [Field("one", "One", "typed")], check=broken))
            await until(pilot, lambda: app.screen.query("#field-one"), "the form")
            app.screen.query_one("#field-one", Input).focus()
            await pilot.press("enter")
            await until(pilot, lambda: "could not be checked" in text_of(app), "it is told")
            assert "OverflowError" in text_of(app) and "hidden" not in text_of(app)

    drive(test)


def test_an_interrupt_of_the_editor_does_not_end_the_screen(tmp_path: Path) -> None:
    """Ctrl+C in the editor reaches the whole group of processes; the editor alone may end by it."""
    script = tmp_path / "editor"
    script.write_text(
        "#!/bin/sh\nkill -INT $PPID\ntrap 'echo caught >> \"$1\"' INT\nkill -INT $$\n"
    )
    script.chmod(0o700)
    before = signal.getsignal(signal.SIGINT)
    with undisturbed():
        assert edit("some", {"EDITOR": str(script)}) == "somecaught"
    assert signal.getsignal(signal.SIGINT) is before

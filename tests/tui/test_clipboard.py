"""Where a text is copied to, and what is said of it; the desktop's commands are made up."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from aiplat.tui import clipboard as under_test
from aiplat.tui.clipboard import MAX_OSC_BYTES, Clipboard

TEXT = "one\n\ttwo – 漢字\n"
TAKES = 'case "$*" in *-o*) cat "$0.kept";; *) cat > "$0.kept";; esac'


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path


def tool(folder: Path, name: str, does: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\necho noise >&2\n{does}\n")
    file.chmod(0o700)


def copied(environ: dict[str, str], text: str = TEXT) -> tuple[bool, list[str]]:
    written: list[str] = []
    return Clipboard(written.append, environ).copy(text).certain, written


@pytest.mark.parametrize(
    ("name", "environ"),
    [("xclip", {"DISPLAY": ":0"}), ("xsel", {"DISPLAY": ":0"}),
     ("wl-copy", {"WAYLAND_DISPLAY": "wayland-0"})],
)  # fmt: skip
def test_the_desktops_command_takes_it_and_says_nothing_on_the_screen(
    tools: Path, capfd: pytest.CaptureFixture[str], name: str, environ: dict[str, str]
) -> None:
    tool(tools, name, TAKES)
    tool(tools, "wl-paste", f'cat "{tools}/wl-copy.kept"')
    assert copied(environ) == (True, [])
    assert (tools / f"{name}.kept").read_text() == TEXT
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "does",
    ["exit 1", "exec sleep 60", "cat > /dev/null", 'case "$*" in *-o*) exec sleep 60;; esac'],
)
def test_one_that_fails_hangs_or_lies_leaves_it_to_the_terminal(
    tools: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    monkeypatch.setattr(under_test, "_SECONDS", 0.2)
    tool(tools, "xclip", does)
    certain, written = copied({"DISPLAY": ":0"})
    assert not certain
    assert written == [f"\x1b]52;c;{base64.b64encode(TEXT.encode()).decode()}\a"]


def test_over_ssh_the_desktop_is_left_alone(tools: Path) -> None:
    tool(tools, "xclip", TAKES)
    certain, written = copied({"DISPLAY": ":0", "SSH_TTY": "/dev/pts/0"})
    assert not certain and len(written) == 1
    assert not (tools / "xclip.kept").exists()


def test_in_tmux_its_buffer_is_filled(tools: Path) -> None:
    tool(tools, "tmux", TAKES)
    assert copied({"TMUX": "/tmp/tmux"}) == (True, [])
    assert (tools / "tmux.kept").read_text() == TEXT


def test_what_a_terminal_does_not_take_is_not_sent() -> None:
    assert copied({}, "x" * (MAX_OSC_BYTES + 1)) == (False, [])

"""The command line itself: exit codes, errors in one place, help with examples, light imports."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from aiplat.cli import failures, main, output
from aiplat.cli.app import app
from aiplat.cli.models import _table
from aiplat.cli.progress import Lines, shows
from aiplat.control.messages import ModelStatus
from aiplat.domain import errors
from aiplat.domain.errors import LEAVES, AiplatError, ConfigError
from aiplat.engine.store import Stored, write_manifest
from aiplat.http.settings import HttpSettings
from aiplat.runtime import reset as removing
from aiplat.runtime.lock import node_runs
from aiplat.runtime.places import Places

HEAVY = ("torch", "transformers", "textual", "libp2p", "httpx", "trio", "rich", "msgspec",
         "platformdirs", "keyring", "starlette", "hypercorn")  # fmt: skip

ONLY_A_NODES = ("torch", "transformers", "libp2p", "httpx", "trio", "prometheus_client")


FAULT = "error: This is a fault of aiplat: RuntimeError: oops. DEBUG=1 shows where.\n"

FLOOD = """
import sys
from aiplat.cli import app as commands, main, output
commands.app = lambda **_: [output.data("x" * 1000 + chr(10)) for _ in range(10_000)]
main.main([])
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIPLAT_HOME", str(tmp_path / "h"))
    return tmp_path / "h"


# -- a light front door -------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["ask", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom aiplat.cli.main import run\ncode = run(sys.argv[1:])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "aiplat" in done.stdout
    assert done.stderr == "[]\n"


def test_to_ask_imports_nothing_that_only_a_node_needs() -> None:
    code = (
        f"import aiplat.cli.ensure, sys; print([n for n in {ONLY_A_NODES!r} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def commands() -> list[list[str]]:
    root = typer.main.get_command(app)
    found: list[list[str]] = []
    for name, command in root.commands.items():  # type: ignore[attr-defined]  # it is a group
        inner = getattr(command, "commands", None)
        found += [[name, sub] for sub in inner] if inner else [[name]]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_json_and_help_with_an_example(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert "--json" in text or words == ["tui"]  # which is for persons alone
    assert "Example" in text
    assert f"aiplat {' '.join(words)}" in text.partition("Example")[2] or "--home" in text


def test_a_group_of_commands_has_an_example_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["models", "--help"]) == 0
    assert "  aiplat models pull smollm2-135m\n" in capsys.readouterr().out


def test_the_help_names_the_default_door(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["serve", "--help"]) == 0
    assert f"[{HttpSettings().bind}]" in capsys.readouterr().out


# -- exit codes ---------------------------------------------------------------------------------


def test_every_leaf_has_its_exit_code() -> None:
    codes = {leaf.code: failures.exit_code(leaf("x")) for leaf in LEAVES.values()}
    others = {name: code for name, code in codes.items() if code != 1}
    assert others == {
        "invalid_request": 2, "unsupported_parameter": 2, "invalid_api_key": 3,
        "permission_denied": 3, "not_a_member": 3, "user_disabled": 3,
        "no_peer": 4, "no_processor": 4, "deadline_exceeded": 5,
    }  # fmt: skip


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**how: object) -> None:
        raise error

    monkeypatch.setattr("aiplat.cli.app.app", fail)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("The file is bad."), 1, "error: The file is bad.\n"),
        (errors.NoPeer("Nobody."), 4, "error: Nobody.\n"),
        (KeyboardInterrupt(), 130, ""),
        (typer.Abort(), 130, ""),
        (RuntimeError("oops"), 1, FAULT),
    ],
)  # fmt: skip
def test_errors_become_one_sentence_and_a_code(
    error: BaseException, code: int, text: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    raising(error, monkeypatch)
    assert main.run([]) == code
    assert capsys.readouterr() == ("", text)


def test_json_errors_are_on_stdout_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(
        failures.Failure(errors.RateLimited("Wait.", retry_after=2.0), text="so far"), monkeypatch
    )
    assert main.run(["ask", "--json"]) == 1
    out, err = capsys.readouterr()
    assert err == "error: Wait.\n"
    assert json.loads(out) == {
        "error": {"code": "rate_limit_exceeded", "message": "Wait.", "param": None,
                  "retry_after": 2.0, "recoverable": False, "exit_code": 1},
        "text": "so far",
    }  # fmt: skip


def test_json_behind_two_dashes_is_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(AiplatError("x"), monkeypatch)
    main.run(["ask", "--", "--json"])
    assert capsys.readouterr().out == ""


def test_debug_shows_the_trace_of_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEBUG", "1")
    raising(RuntimeError("oops"), monkeypatch)
    main.run([])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["stats"], "No such command 'stats'. Did you mean 'status', 'settings'? See `aiplat "),
        (["env", "--foo"], "No such option: --foo. See `aiplat env --help`."),
        (["serve", "--role", "boss"], "'boss' is not one of 'client', 'gateway', 'processor'."),
        (["serve", "--set", "x"], "'x' is not SECTION.NAME=VALUE."),
        (["serve", "--role", "client", "--model", "echo"], "only a processor runs models"),
        (["serve", "--role", "client", "--echo-rate", "1"], "add --model echo, or leave it out."),
        (["serve", "--echo-rate", "1"], "it is for the model echo alone"),
        (["serve", "--upstream", "http://a", "--backend", "local"], "leave one of the two out"),
        (["serve", "--upstream", "http://a", "--role", "client"], "add --role processor"),
        (["serve", "--upstream", ""], "names no server"),
        (["serve", "--backend", "cloud"], "'cloud' is not one of 'local', 'upstream'."),
        (["ask", "--temperature", "3", "x"], "temperature must be from 0 to 2, but is 3.0."),
        (["ask", "--temperature", "nan", "x"], "temperature must be from 0 to 2"),
        (["ask", "--max-tokens", "0", "x"], "max_tokens must be from 1 to"),
        (["ask", "--deadline", "0", "x"], "--deadline must be from 0.001 to 86400 seconds"),
        (["ask", "--stop", "", "x"], "A stop string must have 1 to 256 characters"),
        (["ask", "-f", "/nowhere", "x"], "/nowhere cannot be read"),
        (["ask", "  "], "There is nothing to ask"),
        (["chat", "--top-p", "2"], "top_p must be from 0 to 1"),
        (["models"], "Usage: aiplat models"),
        (["reset"], "There is nothing to remove"),
    ],
)
def test_wrong_use_is_2_and_starts_nothing(
    words: list[str], text: str, home: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    code = main.run(words)
    assert text in capsys.readouterr().err
    assert code == (0 if words == ["reset"] else 2)
    assert not home.exists()


def test_a_usage_error_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["env", "--foo", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)["error"]
    assert (told["code"], told["exit_code"]) == ("usage", 2)


@pytest.mark.parametrize("words", [["status"], ["env"], ["stop"], ["stop", "--now"]])
def test_who_only_looks_says_that_none_runs(
    words: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: No node runs here.")
    assert err.count("\n") == 1
    assert not home.exists()  # and nothing was made


def test_without_a_node_the_models_are_those_of_the_disk(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIPLAT_CACHE", str(tmp_path / "cache"))
    assert main.run(["models", "list"]) == 0
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "no model was pulled" in err
    folder = tmp_path / "cache" / "models" / "org--m"
    folder.mkdir(parents=True)
    stored = Stored(
        name="org/m", weights="w", tokenizer="t", template="m", recipe=0, context=64, vocabulary=9,
        bytes=3 * 1024 * 1024,
    )  # fmt: skip
    write_manifest(folder, stored)
    assert main.run(["models", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:5] == [
        "org/m",
        "on",
        "disk",
        "3",
        "MiB",
    ]
    assert main.run(["models", "rm", "org/m"]) == 2  # nobody can be asked
    assert "add --yes" in capsys.readouterr().err
    assert main.run(["models", "rm", "org/m", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == "org/m"
    assert not folder.exists()
    assert main.run(["models", "rm", "org/m", "--yes"]) == 1
    assert "There is no model 'org/m' on this machine" in capsys.readouterr().err
    assert not home.exists()


def test_broken_settings_name_file_and_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir()
    (home / "config.toml").write_text("[runtime]\ngrace_second = 3\n")
    assert main.run(["ask", "hi"]) == 1
    err = capsys.readouterr().err
    assert f"{home}/config.toml, line 2: [runtime] has no setting 'grace_second'" in err
    assert "Did you mean grace_seconds" in err


def test_reset_removes_the_lock_while_it_holds_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIPLAT_CACHE", str(home.parent / "cache"))
    (home / "state").mkdir(parents=True, mode=0o700)
    (home / "state" / "token").write_text("x")
    held: list[bool] = []
    leave = removing.leave

    def look(places: Places) -> None:
        held.append(node_runs(places.node_lock))
        leave(places)

    monkeypatch.setattr(removing, "leave", look)
    assert main.run(["reset", "--all", "--yes"]) == 0
    assert held == [True]
    assert not home.exists()


# -- --home anywhere ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "moved"),
    [
        (["ask", "--home", "g", "x"], ["--home", "g", "ask", "x"]),
        (["ask", "x", "--home=g"], ["--home=g", "ask", "x"]),
        (["--home", "g", "ask"], ["--home", "g", "ask"]),
        (["ask", "--", "--home", "g"], ["ask", "--", "--home", "g"]),
        (["ask", "--home"], ["ask", "--home"]),
        ([], []),
    ],
)
def test_home_may_stand_behind_the_command(words: list[str], moved: list[str]) -> None:
    assert main._home_first(words) == moved


# -- completion ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "offered"),
    [("aiplat mo", "models"), ("aiplat serve --role pro", "processor"), ("aiplat ask --te",
     "--temperature")],
)  # fmt: skip
def test_the_shell_completes(words: str, offered: str) -> None:
    env = os.environ | {
        "_AIPLAT_COMPLETE": "complete_bash", "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "aiplat"], capture_output=True, text=True, check=False, env=env
    )
    assert done.stdout.split() == [offered]


# -- what is written where ------------------------------------------------------------------------


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_models_text_cannot_steer_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a\x1b[2Jb\r\nc\td\x9b\x07"
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        monkeypatch.setattr(sys, "stdout", stream)
        output.data(text)
    assert terminal.getvalue() == "a[2Jb\nc\td"
    assert pipe.getvalue() == text  # a program gets what was said


def test_a_peers_model_stays_in_its_row() -> None:
    model = ModelStatus(name="m\nfake\x1b[2J", state="failed", note="a\nb")
    head, row = _table((model,)).splitlines()
    assert head.startswith("NAME")
    assert row.split()[0] == "m·fake·[2J"
    assert row.endswith("a·b")


def test_a_narrow_terminal_gets_a_line_for_each_fact() -> None:
    model = ModelStatus(name="smollm2-135m", state="ready", processors=1, slots=8)
    assert _table((model,), 120) == _table((model,))
    lines = _table((model,), 60).splitlines()
    assert lines[:2] == ["smollm2-135m", "state       ready"]
    assert "processors  1" in lines
    assert max(map(len, lines)) < 60


def test_an_error_is_broken_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(output, "width", lambda stream: 30)
    output.failed("There is no model 'smolm2' here. See /a/very/long/path/that/is/not/broken.")
    lines = terminal.getvalue().splitlines()
    assert "/a/very/long/path/that/is/not/broken." in lines
    assert all(len(line) <= 30 for line in lines if "/" not in line)


@pytest.mark.parametrize(("no_color", "line"), [("", "❌ Bad.\n"), ("1", "error: Bad.\n")])
def test_signs_on_a_terminal_unless_unwanted(
    no_color: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    output.failed("Bad.")
    assert terminal.getvalue() == line


def test_a_reader_that_left_is_no_failure() -> None:
    pipe = f'{sys.executable} -c "$1" | head -n 1; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", pipe, "-", FLOOD], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[1] == "0"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("where", "reason"), [("/dev/full", "No space left on device"), ("&-", "Bad file descriptor")]
)
@pytest.mark.parametrize("json", ["", "--json"])
def test_stdout_that_fails_is_told_in_one_sentence(where: str, reason: str, json: str) -> None:
    say = (
        "from aiplat.cli import app as commands, main, output; "
        "commands.app = lambda **_: output.data('x'); "
    )
    done = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {json} >{where}', sys.executable, say + "main.main()"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == f"error: stdout cannot be written: {reason}.\n"
    assert done.returncode == 1


def test_what_is_to_be_typed_names_the_home_that_was_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ConfigError("End it with `aiplat stop`, or `aiplat --home /h stop`.")
    raising(error, monkeypatch)
    for words, home in ((["--json", "--home=a b"], " --home 'a b'"), (["--json"], "")):
        main.run(words)
        out, err = capsys.readouterr()
        told = f"End it with `aiplat{home} stop`, or `aiplat --home /h stop`."
        assert err == f"error: {told}\n"
        assert json.loads(out)["error"]["message"] == told


def test_an_interrupt_ends_the_terminals_line(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(KeyboardInterrupt(), monkeypatch)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main.run([]) == 130
    assert terminal.getvalue() == "\n"


def test_progress_in_lines() -> None:
    said: list[str] = []
    with Lines(said.append) as progress:
        for done in range(101):
            progress("download", done * 1_000_000, 100_000_000)
        progress("wait", 0, 0)
        progress("wait", 0, 0)
        progress("convert", 5, 10)
    assert said[:2] == [
        "Downloading: 0%, 0 bytes of 100.0 MB",
        "Downloading: 10%, 10.0 MB of 100.0 MB",
    ]
    assert len(said) == 13
    assert said[-2:] == [
        "Waiting for another pull of this model: 0%", "Converting: 50%, 5 of 10 tensors",
    ]  # fmt: skip


def test_progress_in_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with shows() as progress:
        progress("download", 5, 10)
        progress("odd [red]stage", 0, 0)
        progress("download", 10, 10)
    assert "Downloading" in terminal.getvalue()
    assert "odd [red]stage" in terminal.getvalue()

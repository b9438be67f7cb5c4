"""Settings: layers, and errors that name the place, the bound and the mend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec
import pytest
from msgspec import Meta

from aiplat.config.describe import document
from aiplat.config.loader import Loaded, load
from aiplat.domain.errors import ConfigError


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """What runs models."""

    SECTION: ClassVar[str] = "engine"

    threads: Annotated[int, Meta(description="Threads; 0 takes the cores.", ge=0, le=256)] = 0
    pause: Annotated[float, Meta(description="Seconds | pause.", ge=0.1)] = 1.5
    models: Annotated[tuple[str, ...], Meta(description="Names.")] = ("small",)
    mode: Annotated[Literal["fast", "exact"], Meta(description="How.")] = "fast"
    share: Annotated[bool, Meta(description="Whether.")] = False
    limit: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="Bound.")] = None

    def __post_init__(self) -> None:
        if self.threads == 13:
            raise ValueError("threads is unlucky.")


class Node(msgspec.Struct, frozen=True):
    """The node."""

    SECTION: ClassVar[str] = "node"

    heartbeat_seconds: Annotated[float, Meta(description="Seconds.", ge=0.1, le=60)] = 1.0


def loaded(file: Path | None = None, env: dict[str, str] | None = None, **over: object) -> Loaded:
    overrides = {name.replace("__", "."): value for name, value in over.items()}
    return load([Engine, Node], file, env or {}, overrides)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_defaults_hold_when_nobody_says_anything(config: Path) -> None:
    settings = loaded(config)
    assert settings[Engine] == Engine()
    assert settings[Node].heartbeat_seconds == 1.0
    assert settings.source("node.heartbeat_seconds") == "default"


def test_command_line_over_environment_over_file(config: Path) -> None:
    config.write_text("[engine]\nthreads = 2\npause = 3\nshare = true\n")
    env = {"AIPLAT_ENGINE_THREADS": "3", "AIPLAT_ENGINE_PAUSE": "4", "AIPLAT_HOME": "/x"}
    settings = loaded(config, env, engine__threads=5)
    assert settings[Engine] == Engine(threads=5, pause=4.0, share=True)
    assert settings.source("engine.share") == f"{config}, line 4"
    assert settings.source("engine.pause") == "The environment variable AIPLAT_ENGINE_PAUSE"


@pytest.mark.parametrize(
    ("text", "models"),
    [("a, b,c", ("a", "b", "c")), ("a", ("a",)), ("", ()), (" , ", ())],
)
def test_lists_in_the_environment_have_commas(text: str, models: tuple[str, ...]) -> None:
    assert loaded(env={"AIPLAT_ENGINE_MODELS": text})[Engine].models == models


@pytest.mark.parametrize(("text", "share"), [("true", True), ("1", True), ("false", False)])
def test_booleans_in_the_environment(text: str, share: bool) -> None:
    assert loaded(env={"AIPLAT_ENGINE_SHARE": text})[Engine].share is share


def test_command_line_texts_are_read_like_the_environments() -> None:
    assert loaded(engine__models="a,b", engine__limit="7")[Engine].models == ("a", "b")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[engine]\n\nthreads = 999\n", 3, ["threads", "from 0 to 256", "'999'", "default, 0"]),
        ("[engine]\npause = 0.01\n", 2, ["a number, at least 0.1", "'0.01'"]),
        ("[engine]\nthreads = '4'\n", 2, ["a whole number from 0 to 256"]),
        ("[engine]\nmode = 'slow'\n", 2, ["one of exact, fast", "'slow'"]),
        ("[engine]\nmodels = [\n 'a',\n 3,\n]\n", 2, ["a list, each a text"]),
        ("[engine]\nshare = 1\n", 2, ["true or false"]),
        ("[engine]\nlimit = 0\n", 2, ["a whole number, at least 1 or nothing"]),
        ("# x\n[engine]\nthread = 1\n", 3, ["no setting 'thread'", "Did you mean threads?"]),
        ("[node]\n[engin]\n", 2, ["no table [engin]", "Did you mean engine?"]),
        ("engine = 3\n", 1, ["write [engine] on a line"]),
        ("engine.threads = -1\n", 1, ["from 0 to 256"]),
        ("[node]\n[engine]\nthreads = 13\n", 3, ["unlucky"]),
        ("zzzzz = 3\n", 1, ["Known: engine, node."]),
    ],
)
def test_a_broken_file_is_named_with_its_line(
    config: Path, text: str, line: int, words: list[str]
) -> None:
    config.write_text(text)
    with pytest.raises(ConfigError) as caught:
        loaded(config)
    message = str(caught.value)
    assert f"{config}, line {line}:" in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("text", "line"),
    [("[engine]\nthreads == 3\n", 2), ("[engine]\nmodels = [\n'a'\n\n", 3), ("[engine\n", 1)],
)
def test_broken_toml_names_file_and_line(config: Path, text: str, line: int) -> None:
    config.write_text(text)
    with pytest.raises(ConfigError, match=f"{config} is not valid TOML.*line {line}"):
        loaded(config)


def test_a_file_that_is_not_utf8_names_the_line(config: Path) -> None:
    config.write_bytes(b"[engine]\n# \xff\n")
    with pytest.raises(ConfigError, match=f"{config}, line 2: byte 11"):
        loaded(config)


def test_a_file_too_large_or_unreadable(config: Path) -> None:
    config.write_bytes(b"#" * 70_000)
    with pytest.raises(ConfigError, match="larger than 65536 bytes"):
        loaded(config)
    config.unlink()
    config.mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        loaded(config)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AIPLAT_ENGINE_THREADS", "many", "threads must be a whole number from 0 to 256"),
        ("AIPLAT_ENGINE_THREDS", "1", "Did you mean AIPLAT_ENGINE_THREADS"),
        ("AIPLAT_ENGINE_SHARE", "perhaps", "true or false, but is 'perhaps'"),
    ],
)
def test_the_environments_errors_name_the_variable(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(env={variable: value})
    assert f"The environment variable {variable}" in str(caught.value)
    assert words in str(caught.value)


def test_the_command_lines_errors_name_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"command line's engine.threads: threads must be"):
        loaded(engine__threads="x")
    with pytest.raises(
        ConfigError, match=r"no setting 'engine.thread'. Did you mean engine.threads"
    ):
        loaded(engine__thread="1")


def test_every_setting_is_described() -> None:
    text = document([Engine, Node])
    assert "## [engine]" in text
    assert (
        "| `threads` | `0` | a whole number from 0 to 256 | Threads; 0 takes the cores. |" in text
    )
    assert '| `models` | `["small"]` |' in text
    assert "Seconds \\| pause." in text

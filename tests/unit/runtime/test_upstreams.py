"""Which server runs the models: the command line before the settings, checked before a start."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from aiplat.domain.errors import ConfigError, NotReady
from aiplat.engine.backends.upstream.settings import UpstreamSettings
from aiplat.runtime.options import ServeOptions
from aiplat.runtime.places import find_places
from aiplat.runtime.pulling import models_of
from aiplat.runtime.roles import refuse_models_without_processor, with_roles
from aiplat.runtime.settings import load_settings
from aiplat.runtime.upstreams import (
    has_upstream,
    offer_what_is_here,
    with_found,
    with_upstream,
)
from tests.support.upstreams import ScriptedUpstream, free_port, models

URL = "http://127.0.0.1:8000/v1"
RUNS = ("client", "gateway", "processor")


def options(**said: Any) -> ServeOptions:
    return ServeOptions(**{"roles": RUNS} | said)


def test_a_node_without_torch_runs_an_upstreams_models() -> None:
    said = ServeOptions(upstream=URL)
    assert has_upstream(said, UpstreamSettings())
    filled, note = with_roles(said, can_run=True)
    assert (filled.roles, note) == (RUNS, "")
    filled = with_upstream(filled, UpstreamSettings(), {})
    assert (filled.backend, filled.upstream) == ("upstream", URL)
    assert models_of(filled) == ()  # nothing is pulled


def test_the_command_line_comes_before_the_settings() -> None:
    settings = UpstreamSettings(url=URL, key_env="A", models=("a",))
    environ = {"A": "key-of-a", "B": "key-of-b"}
    filled = with_upstream(options(), settings, environ)
    assert (filled.upstream, filled.upstream_key_env, filled.models) == (URL, "A", ("a",))
    said = options(upstream="https://b.example", upstream_key_env="B", models=("b",))
    filled = with_upstream(said, settings, environ)
    assert (filled.upstream, filled.upstream_key_env, filled.models) == (
        "https://b.example", "B", ("b",),
    )  # fmt: skip
    local = options(backend="local")
    assert with_upstream(local, settings, environ) == local
    client = options(roles=("client",))
    assert with_upstream(client, settings, {}) == client


def test_settings_come_from_the_file_and_the_environment(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[upstream]\nurl = "{URL}"\nmodels = ["a", "b"]\n')
    loaded = load_settings(find_places(str(tmp_path), {}), {"AIPLAT_UPSTREAM_SLOTS": "3"})
    settings = loaded[UpstreamSettings]
    assert (settings.url, settings.models, settings.slots) == (URL, ("a", "b"), 3)


@pytest.mark.parametrize(
    ("said", "settings", "match"),
    [
        ({"backend": "upstream"}, {}, "--backend upstream needs to know where"),
        ({"upstream_key_env": "KEY"}, {}, "--upstream-key-env is for an upstream"),
        ({"upstream": URL, "upstream_key_env": "KEY"}, {}, "KEY shall hold .* is not set"),
        ({"upstream": "nowhere"}, {}, "must begin with http"),
        ({}, {"url": "ftp://x"}, "must begin with http"),
        ({"upstream": "auto"}, {"auto_places": ("http://10.0.0.1:1",)}, "not on this machine"),
    ],
)
def test_what_is_wrong_is_said_before_the_start(
    said: dict[str, Any], settings: dict[str, Any], match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        with_upstream(options(**said), UpstreamSettings(**settings), {})


def test_an_upstream_that_would_be_ignored_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave --upstream out"):
        refuse_models_without_processor(options(roles=("client",), upstream=URL), can_run=True)


def test_auto_takes_what_is_found_and_says_where_it_looked() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    said = options(backend="upstream", upstream="auto")
    with pytest.raises(NotReady, match=f"looked at {nobody}"):
        with_found(said, UpstreamSettings(auto_places=(nobody,)))
    with ScriptedUpstream(models("m", owned_by="llamacpp")) as server:
        settings = UpstreamSettings(auto_places=(nobody, server.url), auto_seconds=30)
        found, told = with_found(said, settings)
    assert found.upstream == f"{server.url}/v1"
    assert told == f"Found a llama.cpp server with 1 model at {server.url}/v1."
    assert with_found(options(), UpstreamSettings()) == (options(), "")


async def test_what_runs_here_already_is_offered_in_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "aiplat")
    with ScriptedUpstream(models("m", owned_by="llamacpp")) as server:
        await offer_what_is_here(UpstreamSettings(auto_places=(server.url,), auto_seconds=30))
        assert [record.getMessage() for record in caplog.records] == [
            "found a llama.cpp server with 1 model: --upstream auto"
        ]
    caplog.clear()
    await offer_what_is_here(UpstreamSettings(auto_places=(server.url,)))
    assert caplog.records == []

"""Whether another server runs this node's models, which one, and what is found on this machine."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from aiplat.domain.errors import ConfigError, NotReady
from aiplat.engine.backends.upstream.address import parse_address
from aiplat.engine.backends.upstream.finding import Found, check_places, find
from aiplat.engine.backends.upstream.key import read_key
from aiplat.engine.backends.upstream.settings import AUTO, UpstreamSettings
from aiplat.runtime.options import ServeOptions
from aiplat.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from aiplat.engine.backends.upstream.upstream import Upstream

log = logging.getLogger("aiplat.runtime")


def has_upstream(options: ServeOptions, settings: UpstreamSettings) -> bool:
    """Tell whether a node with these options has its models run by another server.

    Raises:
        ConfigError: it shall, and no server is named.
    """
    if options.backend == "local":
        return False
    if options.upstream or settings.url:
        return True
    if options.upstream_key_env:
        raise ConfigError("--upstream-key-env is for an upstream: add --upstream URL.")
    if options.backend == "upstream":
        raise ConfigError(
            "--backend upstream needs to know where: add --upstream URL (or `--upstream auto`, for "
            "an Ollama or a llama.cpp server of this machine)."
        )
    return False


def with_upstream(
    options: ServeOptions, settings: UpstreamSettings, environ: Mapping[str, str]
) -> ServeOptions:
    """Fill in which server runs the models, where one does, and check what can be without it.

    Raises:
        ConfigError: its URL or the name of its key's variable is wrong, or that is not set.
    """
    if "processor" not in options.roles or not has_upstream(options, settings):
        return options
    url = options.upstream or settings.url
    if url == AUTO:
        check_places(settings.auto_places)
    else:
        parse_address(url)
    name = options.upstream_key_env or settings.key_env
    read_key(name, environ)
    return replace(
        options, backend="upstream", upstream=url, upstream_key_env=name,
        models=options.models or settings.models,
    )  # fmt: skip


def found_here(settings: UpstreamSettings) -> list[Found]:
    """Look for servers of models on this machine; blocks for a moment."""
    return trio.run(find, settings.auto_places, settings.auto_seconds)


def with_found(options: ServeOptions, settings: UpstreamSettings) -> tuple[ServeOptions, str]:
    """Put what is found on this machine in the place of `auto`; blocks for a moment.

    Returns:
        The options, and what a person shall be told, or an empty text.

    Raises:
        NotReady: nothing is found.
    """
    if options.backend != "upstream" or options.upstream != AUTO:
        return options, ""
    found = found_here(settings)
    if not found:
        raise NotReady(
            "--upstream auto found neither an Ollama nor a llama.cpp server on this machine (it "
            f"looked at {' and '.join(settings.auto_places)}): start one, or name its URL."
        )
    best = next((one for one in found if one.models), found[0])
    told = f"Found {best} at {best.url}."
    return replace(options, upstream=best.url), told


def make_upstream(
    options: ServeOptions,
    settings: UpstreamSettings,
    environ: Mapping[str, str],
    metrics: Metrics,
) -> Upstream:
    """The server that `with_upstream` chose; nothing is asked of it before it runs.

    Raises:
        ConfigError: as `with_upstream`.
    """
    from aiplat.engine.backends.upstream.server import Server
    from aiplat.engine.backends.upstream.upstream import Upstream

    key = read_key(options.upstream_key_env, environ)
    server = Server(parse_address(options.upstream), key, settings)
    return Upstream(server, options.models, settings, metrics)


async def offer_what_is_here(settings: UpstreamSettings) -> None:
    """Say in one line which server of models runs on this machine already, if one does."""
    for found in await find(settings.auto_places, settings.auto_seconds):
        log.info("found %s: --upstream auto", found, extra={"sign": "🤖"})

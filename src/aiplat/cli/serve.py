"""``aiplat serve``: run a node until it is stopped."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import Face, face_of

if TYPE_CHECKING:
    from aiplat.runtime.options import ServeOptions

_MARGIN = 15.0


class BackendName(StrEnum):
    """What runs the models, as Typer takes a choice."""

    local = "local"
    upstream = "upstream"


class RoleName(StrEnum):
    """The roles, as Typer takes a choice."""

    client = "client"
    gateway = "gateway"
    processor = "processor"


def serve(
    context: typer.Context,
    role: Annotated[
        list[RoleName] | None,
        typer.Option(help="What the node does; repeatable. Without it, all that is possible."),
    ] = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MULTIADDR",
            help="Where it listens for peers; loopback only, but in a network; repeatable.",
        ),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The HTTP door; port 0 picks one. Beyond loopback with TLS only. [127.0.0.1:8777]",
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The HTTP door's certificate, chain and all, in PEM."),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its private key in PEM, mode 600.")
    ] = None,
    plain_http_beyond_loopback: Annotated[
        bool,
        typer.Option(
            "--plain-http-beyond-loopback",
            help="Let the HTTP door beyond loopback without TLS: every prompt and key in the "
            "clear.",
        ),
    ] = False,
    control: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The control socket.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A model to run; repeatable.")
    ] = None,
    echo_rate: Annotated[
        float | None,
        typer.Option(metavar="N", min=0, help="Tokens a second of the model `echo`; 0: no pause."),
    ] = None,
    backend: Annotated[
        BackendName | None,
        typer.Option(help="What runs the models: aiplat itself, or an upstream. [local]"),
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A server that speaks the OpenAI API and runs the models; `auto`: an Ollama or a "
            "llama.cpp server of this machine.",
        ),
    ] = None,
    upstream_key_env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The environment variable that holds its key."),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="A peer to connect to, kept for later; repeatable."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.NAME=VALUE", help="A setting; repeatable."),
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", help="Leave when idle, as nodes do that a face starts.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Run a node in this terminal; Ctrl-C ends it.

    With nothing said it is client, gateway and processor at once, on this machine only; in a
    network (`aiplat join`) what its certificate says, and it finds the gateways by itself.

    \b
    Examples:
      aiplat serve
      aiplat --home g serve --role gateway --http 127.0.0.1:0
      aiplat --home p serve --role processor --model smollm2-135m --peer ADDRESS
      aiplat serve --http 0.0.0.0:8777 --tls-certificate cert.pem --tls-key key.pem
      aiplat serve --upstream auto
      aiplat serve --upstream https://gpu.example/v1 --upstream-key-env GPU_KEY --model qwen3-32b
    """
    from aiplat.runtime.options import ServeOptions

    _check(role or [], model or [], echo_rate)
    _check_upstream(role or [], backend, upstream, upstream_key_env)
    face = face_of(context)
    face.overrides.update(_overrides(settings or []))
    face.overrides.update(_of_tls(tls_certificate, tls_key, plain_http_beyond_loopback))
    said = ServeOptions(
        roles=tuple(dict.fromkeys(chosen.value for chosen in role or ())),
        listen=tuple(listen or ()), http=http,
        control=None if control is None else control.absolute(), models=tuple(model or ()),
        echo_rate=echo_rate, backend=backend.value if backend else "", upstream=upstream or "",
        upstream_key_env=upstream_key_env or "", peers=tuple(peer or ()), background=background,
        json=json, settings=dict(face.overrides),
    )  # fmt: skip
    code = _run(face, said)
    if code:
        raise typer.Exit(code)


def _run(face: Face, said: ServeOptions) -> int:
    from aiplat.cli.progress import pull_missing
    from aiplat.engine.backends.upstream.settings import UpstreamSettings
    from aiplat.runtime import logs
    from aiplat.runtime.lock import NodeLock
    from aiplat.runtime.preflight import preflight
    from aiplat.runtime.roles import (
        certified_roles,
        refuse_models_without_processor,
        refuse_without_certificate,
        with_roles,
    )
    from aiplat.runtime.takeover import refuse_foreground_node, take_place
    from aiplat.runtime.upstreams import has_upstream, with_found, with_upstream

    places, runtime = face.places, face.runtime
    places.prepare()
    refuse_without_certificate(said, places)
    settings = face.loaded[UpstreamSettings]
    can_run = True if has_upstream(said, settings) else None
    said, note = with_roles(said, can_run=can_run, certified=certified_roles(places))
    refuse_models_without_processor(said, can_run=can_run)
    said = with_upstream(said, settings, face.environ)
    refuse_foreground_node(places)
    if note:
        output.say(note)
    preflight(said, face.loaded, places)
    said, found = with_found(said, settings)
    if found:
        output.say(found)
    if not said.background and take_place(places, runtime.grace_seconds + _MARGIN):
        output.say("Took the place of a background node of this home that had no work.")
    # Held while a model is fetched too: else an `ask` meanwhile would start another node.
    with NodeLock(places.node_lock, background=said.background) as lock:
        pull_missing(face, said)
        logs.configure(
            places.log, face.environ, level=runtime.log_level, max_bytes=runtime.log_bytes,
            files=runtime.log_files, lines=runtime.log_lines,
        )  # fmt: skip
        from aiplat.runtime.run import run_node

        try:
            return run_node(said, face.loaded, places, lock)
        finally:
            logs.close()


def _check(roles: list[RoleName], models: list[str], echo_rate: float | None) -> None:
    """Refuse what would be ignored."""
    from aiplat.engine.catalogue import ECHO, canonical

    if models and roles and RoleName.processor not in roles:
        raise typer.BadParameter(
            "only a processor runs models: add --role processor, or leave it out",
            param_hint="--model",
        )
    if echo_rate is not None and ECHO not in map(canonical, models):
        raise typer.BadParameter(
            "it is for the model echo alone: add --model echo, or leave it out",
            param_hint="--echo-rate",
        )


def _check_upstream(
    roles: list[RoleName], backend: BackendName | None, url: str | None, key_env: str | None
) -> None:
    """Refuse what would be ignored, and what names no server."""
    if url is not None and not url.strip():
        raise typer.BadParameter("it names no server", param_hint="--upstream")
    said = [name for name, value in (("--upstream", url), ("--upstream-key-env", key_env)) if value]
    if said and backend is BackendName.local:
        raise typer.BadParameter(
            "--backend local runs the models in aiplat itself: leave one of the two out",
            param_hint=said[0],
        )
    if said and roles and RoleName.processor not in roles:
        raise typer.BadParameter(
            "only a processor has models run: add --role processor, or leave it out",
            param_hint=said[0],
        )


def _of_tls(certificate: Path | None, key: Path | None, plain: bool) -> dict[str, str]:
    """What these options say as settings, which the node's parts read."""
    if plain and (certificate or key):
        raise typer.BadParameter(
            "it is for a door without TLS: leave it out, or the certificate and its key",
            param_hint="--plain-http-beyond-loopback",
        )
    paths = {"http.tls_certificate": certificate, "http.tls_key": key}
    said = {name: str(path.absolute()) for name, path in paths.items() if path is not None}
    return said | ({"http.plain_beyond_loopback": "true"} if plain else {})


def _overrides(given: list[str]) -> dict[str, str]:
    found = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or "." not in name:
            raise typer.BadParameter(f"{item!r} is not SECTION.NAME=VALUE", param_hint="--set")
        found[name.strip()] = value
    return found

"""The node that answers a prompt: the one that runs, or one that is started for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aiplat.cli import output
from aiplat.cli.face import Face
from aiplat.cli.progress import Say, pull_missing
from aiplat.control.client import NodeLost, NodeSilent
from aiplat.control.messages import Status
from aiplat.engine.backends.upstream.settings import UpstreamSettings
from aiplat.engine.catalogue import DEFAULT_MODEL, ECHO, canonical
from aiplat.runtime.lock import node_runs
from aiplat.runtime.options import ServeOptions
from aiplat.runtime.places import Places
from aiplat.runtime.pulling import missing
from aiplat.runtime.reach import NodeClient, connect, status_of
from aiplat.runtime.roles import (
    can_run_models,
    certified_roles,
    refuse_without_client,
    with_roles,
)
from aiplat.runtime.start import ensure_node
from aiplat.runtime.takeover import end_stranded, is_stranded
from aiplat.runtime.upstreams import has_upstream, with_upstream


def ensure(
    face: Face,
    *,
    model: str = "",
    elsewhere: bool = False,
    asks: bool = True,
    say: Say = output.say,
) -> NodeClient:
    """Give the client of this home's node; start one in the background when there is none.

    Arguments:
        face: the run.
        model: what the node that is started shall serve; empty for the default.
        elsewhere: the prompt goes to another node's gateway, so that no model is needed here.
        asks: whether a prompt is to be asked: a home that may ask none is refused then.
        say: hears what is done, with the name of a sign.

    Raises:
        AiplatError: the installation is wrong, or the node could not start.
    """
    places, runtime = face.places, face.runtime
    places.prepare()
    if (found := _ready(places)) is not None:
        client, status = found
        if elsewhere or not is_stranded(status):
            if asks:
                refuse_without_client(places, status.roles)
            return client
        say("The background node is a client without a gateway: it gives way to a new one.")
        end_stranded(places, runtime.start_seconds)
    options = ServeOptions(
        roles=("client",) if elsewhere else (),
        models=() if elsewhere else models_for(model, places.cache),
    )
    if asks and not node_runs(places.node_lock):
        refuse_without_client(places)
    certified = certified_roles(places)
    if "processor" not in certified:
        options = replace(options, models=())  # the network has the models
    settings = face.loaded[UpstreamSettings]
    can_run = None
    if not elsewhere and has_upstream(options, settings):
        # Which of its models are offered, the settings say: a prompt names one of them.
        options, can_run = replace(options, models=()), True
    options, note = with_roles(options, can_run=can_run, certified=certified)
    options = with_upstream(options, settings, face.environ)
    if not node_runs(places.node_lock):
        if note:
            say(note)
        pull_missing(face, options, say)
        say("Starting a node in the background; `aiplat stop` ends it.", "start")
    return ensure_node(places, options, runtime.start_seconds, say)


def models_for(model: str, cache: Path) -> tuple[str, ...]:
    """Name what a node shall serve that is started for `model`; none for the default alone.

    The default is served too where it is on this machine already: what comes next may be a
    prompt that names no model, and another model's answer to it would be no answer.
    """
    if not model or canonical(model) == DEFAULT_MODEL:
        return (model,) if model else ()
    has_default = can_run_models() and not missing((DEFAULT_MODEL,), cache)
    return (DEFAULT_MODEL, model) if has_default else (model,)


def default_name(client: NodeClient) -> str:
    """Name the model of a prompt that names none; empty leaves it to the node.

    A node in the background was started for some other prompt's model, `echo` perhaps: nobody
    shall hear that one who did not ask for it, also while the default is still loading.
    """
    status = client.status()
    offered = {model.name for model in status.models}
    only_echo = offered == {ECHO} and "processor" in status.roles  # its own, not another node's
    return DEFAULT_MODEL if status.background and (DEFAULT_MODEL in offered or only_echo) else ""


def _ready(places: Places) -> tuple[NodeClient, Status] | None:
    client = connect(places)
    try:
        status = status_of(client)
    except NodeSilent:
        raise
    except NodeLost:
        return None  # it may be ending: `ensure_node` looks again
    return (client, status) if status is not None and status.state == "ready" else None


def named(face: Face, model: str, *, elsewhere: bool = False) -> tuple[str, str]:
    """Tell the name that a request calls `model` by, and what a node is told to run it.

    Raises:
        ConfigError: it is a local folder that holds no model.
    """
    if elsewhere:
        return model, model
    from aiplat.runtime.pulling import absolute

    return absolute(model, face.places.cache)

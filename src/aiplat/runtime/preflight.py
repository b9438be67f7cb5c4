"""Whether a node can start, looked at before a good one gives way to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from aiplat.config.loader import Loaded
from aiplat.domain.errors import ConfigError, InvalidRequest
from aiplat.http.certificate import certificate_of
from aiplat.http.settings import HttpSettings
from aiplat.http.sockets import listen_tcp, parse_bind
from aiplat.node.addresses import parse_listen, parse_target
from aiplat.node.membership.files import NetworkFiles
from aiplat.node.settings import NodeSettings
from aiplat.runtime.lock import node_info
from aiplat.runtime.options import ServeOptions
from aiplat.runtime.places import Places
from aiplat.runtime.pulling import missing, models_of

T = TypeVar("T")


def preflight(options: ServeOptions, loaded: Loaded, places: Places) -> None:
    """Refuse what would keep a node from starting; takes, writes and loads nothing.

    Raises:
        InvalidRequest: the command line named an address that is none.
        AiplatError: a setting or a model's name is wrong, or the HTTP door's port is taken.
    """
    in_network = NetworkFiles(places.network).record() is not None
    for address in options.listen or loaded[NodeSettings].listen:
        _said(partial(parse_listen, address, beyond=in_network), "listen" if options.listen else "")
    for address in options.peers:
        parse_target(address, beyond=in_network)
    missing(models_of(options), places.cache)
    settings = loaded[HttpSettings]
    certificate_of(settings)
    bind, beyond = options.http or settings.bind, settings.may_go_beyond
    _, port = _said(partial(parse_bind, bind, beyond=beyond), "http" if options.http else "")
    if options.background and options.http is None:
        return  # it takes a free port
    info = node_info(places.node_lock)
    if info is None or not info.http.endswith(f":{port}"):  # else the node that gives way has it
        listen_tcp(bind, beyond=beyond).close()


def _said(read: Callable[[], T], option: str) -> T:
    """Read what the option `option` said; a setting when that is empty."""
    try:
        return read()
    except ConfigError as fault:
        if not option:
            raise
        raise InvalidRequest(f"--{option}: {fault}", param=option) from None

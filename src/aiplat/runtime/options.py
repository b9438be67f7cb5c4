"""What the command line says to a node that starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiplat.domain.ids import ROLES, Role


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """The options of ``aiplat serve``. What is empty or None was not said.

    Arguments:
        roles: what the node shall do; empty takes the settings', then all that are possible.
        listen: multiaddrs of the libp2p host.
        http: ``HOST:PORT`` of the HTTP door; port 0 picks one.
        control: path of the control socket.
        models: names of the models to serve.
        echo_rate: tokens a second of the model ``echo``; 0 for no pause.
        backend: what runs the models: ``local`` or ``upstream``; empty leaves it to the rest.
        upstream: URL of the server that runs them, or ``auto``.
        upstream_key_env: the environment variable that holds its key; never the key.
        peers: multiaddrs to connect to.
        background: whether a face started it: it leaves when it is idle.
        json: whether its one line on stdout is JSON.
        settings: what ``--set`` gave, as ``section.name`` to text.
    """

    roles: tuple[Role, ...] = ()
    listen: tuple[str, ...] = ()
    http: str | None = None
    control: Path | None = None
    models: tuple[str, ...] = ()
    echo_rate: float | None = None
    backend: str = ""
    upstream: str = ""
    upstream_key_env: str = ""
    peers: tuple[str, ...] = ()
    background: bool = False
    json: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """Write them as the arguments of ``aiplat serve``, for a process that is started."""
        words = []
        for option, values in (
            ("--role", self.roles),
            ("--listen", self.listen),
            ("--model", self.models),
            ("--peer", self.peers),
            ("--set", [f"{name}={value}" for name, value in self.settings.items()]),
        ):
            words += [word for value in values for word in (option, value)]
        for option, value in (
            ("--http", self.http),
            ("--control", self.control),
            ("--echo-rate", self.echo_rate),
            ("--backend", self.backend or None),
            ("--upstream", self.upstream or None),
            ("--upstream-key-env", self.upstream_key_env or None),
        ):
            words += [] if value is None else [option, str(value)]
        words += ["--background"] if self.background else []
        return words + (["--json"] if self.json else [])


def default_roles(can_run_models: bool) -> tuple[Role, ...]:
    """Give the roles of a node that was told none: all that are possible on this machine."""
    return ROLES if can_run_models else ("client", "gateway")

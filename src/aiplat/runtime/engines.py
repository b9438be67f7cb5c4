"""Makes the engines of a node that runs models itself, and says why another runs none."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from msgspec.structs import replace

from aiplat.domain.errors import AiplatError, ConfigError
from aiplat.engine import store
from aiplat.engine.catalogue import ECHO, canonical
from aiplat.engine.factory import make_engine
from aiplat.engine.garage import Garage
from aiplat.engine.interface import Engine
from aiplat.engine.settings import EngineSettings
from aiplat.runtime.options import ServeOptions
from aiplat.runtime.places import Places
from aiplat.runtime.pulling import chosen_by, served_by
from aiplat.runtime.roles import NO_PROCESSOR, can_run_models
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.runtime")


class EngineMaker:
    """Makes them, all of one garage.

    Arguments:
        options: what the command line said.
        settings: of the engines, within the terms of sharing.
        places: the node's folders.
    """

    def __init__(
        self, options: ServeOptions, settings: EngineSettings, places: Places, metrics: Metrics
    ) -> None:
        self.garage = Garage(settings)
        self._options = options
        self._places = places
        self._metrics = metrics

    def make(self, name: str) -> Engine:
        """Make one, as the settings are now.

        Raises:
            AiplatError: as `make_engine`.
        """
        settings, places = self.garage.settings, self._places
        if self._options.echo_rate is not None:
            settings = replace(settings, echo_rate=self._options.echo_rate)
        return make_engine(
            name, settings, places.cache, places.logs, self._metrics, self.garage
        )  # fmt: skip

    def make_all(self, chosen: Sequence[str] = ()) -> list[Engine]:
        """Make those that the node starts with: what it was told, then what a person chose.

        A choice that does not hold any more keeps no node from starting: the log says why.

        Raises:
            AiplatError: what it was told cannot be.
        """
        engines = [self.make(name) for name in self._told()]
        offered = {engine.name for engine in engines}
        if len(offered) != len(engines):
            names = ", ".join(engine.name for engine in engines)
            raise ConfigError(
                f"Two models would be offered under one name ({names}): rename a "
                "folder, or serve them from two nodes."
            )
        for name in chosen_by(self._options, chosen):
            try:
                if store.offered_name(name) not in offered:
                    engines.append(self.make(name))
                    offered.add(engines[-1].name)
            except AiplatError as fault:
                log.warning("a model that was chosen to be offered is not: %s", fault)
        return engines

    def told(self, offered: str) -> bool:
        """Whether a node with these options and settings offers it without a choice."""
        return offered in {store.offered_name(name) for name in self._told()}

    def _told(self) -> dict[str, None]:
        names = served_by(self._options, self.garage.settings, self._places.cache)
        return dict.fromkeys(names)


def why_none(options: ServeOptions, name: str) -> str:
    """Why a node with these options can offer no model of that name; empty where it can."""
    if "processor" not in options.roles:
        if not can_run_models():
            return NO_PROCESSOR
        return (
            f"This node is {' and '.join(options.roles)}, and no processor: it offers no models. "
            "`aiplat serve --role processor` runs one that does."
        )
    if options.backend == "upstream":
        return (
            "This node's models run in another server (--upstream): get the model there, and it "
            "is offered here too."
        )
    if canonical(name) != ECHO and not can_run_models():
        return NO_PROCESSOR
    return ""

"""Makes the engine for a model's name."""

from __future__ import annotations

from pathlib import Path

from aiplat.engine.backends.echo import EchoEngine
from aiplat.engine.catalogue import ECHO, canonical
from aiplat.engine.interface import Engine
from aiplat.engine.process import EngineProcess
from aiplat.engine.settings import EngineSettings
from aiplat.engine.store import locate
from aiplat.telemetry.metrics import Metrics


def make_engine(
    name: str, settings: EngineSettings, cache: Path, logs: Path, metrics: Metrics
) -> Engine:
    """The engine that serves the model `name`; nothing is loaded before it runs.

    Arguments:
        name: a name of the catalogue or one of its aliases, or the path of a local folder.
        cache: the folder of pulled models.
        logs: where the log of the engine's process goes.

    Raises:
        ModelNotFound: there is no such model; names the nearest.
        NotReady: it is known, but was not pulled yet; names the command.
        ConfigError: a local folder holds what is not loaded here.
    """
    if canonical(name) == ECHO:
        return EchoEngine(settings, settings.echo_rate, metrics)
    own, folder = locate(name, cache)
    return EngineProcess(own, folder, cache, settings, logs / f"engine-{own}.log", metrics)

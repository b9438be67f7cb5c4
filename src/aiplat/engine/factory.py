"""Makes the engine for a model's name."""

from __future__ import annotations

from pathlib import Path

from aiplat.engine.abilities import expected
from aiplat.engine.backends.echo import EchoEngine
from aiplat.engine.catalogue import ECHO, canonical
from aiplat.engine.garage import Garage
from aiplat.engine.interface import Engine
from aiplat.engine.process import VECTORS_BACKEND, EngineProcess
from aiplat.engine.settings import EngineSettings
from aiplat.engine.store import file_name, locate
from aiplat.engine.vector_folder import makes_vectors
from aiplat.telemetry.metrics import Metrics


def make_engine(
    name: str,
    settings: EngineSettings,
    cache: Path,
    logs: Path,
    metrics: Metrics,
    garage: Garage | None = None,
) -> Engine:
    """The engine that serves the model `name`; nothing is loaded before it runs.

    Arguments:
        name: a name of the catalogue or one of its aliases, or the path of a local folder.
        cache: the folder of pulled models.
        logs: where the log of the engine's process goes.
        garage: the node's, which all of its engines share.

    Raises:
        ModelNotFound: there is no such model; names the nearest.
        NotReady: it is known, but was not pulled yet; names the command.
        ConfigError: a local folder holds what is not loaded here, or the model is larger than the
            memory that models may take.
    """
    if canonical(name) == ECHO:
        return EchoEngine(settings, settings.echo_rate, metrics)
    own, folder = locate(name, cache)
    log = logs / f"engine-{file_name(own)}.log"
    if makes_vectors(folder):
        return EngineProcess(
            own, folder, cache, settings, log, metrics, VECTORS_BACKEND, garage, can=("embed",)
        )
    return EngineProcess(
        own, folder, cache, settings, log, metrics, garage=garage, can=expected(folder)
    )

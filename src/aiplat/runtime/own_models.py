"""The models on this node's own machine: those that it runs, and those that only lie here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import trio
from msgspec.structs import replace

from aiplat.control.messages import Done, ModelList, ModelStatus
from aiplat.domain.errors import InvalidRequest
from aiplat.domain.models import ModelOffer
from aiplat.engine import store
from aiplat.engine.catalogue import canonical
from aiplat.engine.interface import Engine
from aiplat.engine.process import EngineProcess
from aiplat.engine.removing import on_disk, remove
from aiplat.engine.uses import used
from aiplat.engine.vector_folder import makes_vectors
from aiplat.roles.processor import Processor

_MIB = 1024 * 1024


def lying_here(cache: Path) -> tuple[ModelStatus, ...]:
    """The pulled models, as they are without a node."""
    return tuple(
        ModelStatus(
            name=stored.name, state="on disk", context=stored.context, bytes=stored.bytes,
            last_used=used(folder, cache).last_used,
            can=("embed",) if makes_vectors(folder) else ("generate",),
        )
        for stored, folder in store.pulled_folders(cache)
    )  # fmt: skip


def removed(name: str, freed: int) -> Done:
    """What is said of a model that was removed."""
    mib = max(1, round(freed / _MIB))
    return Done(message=f"The model {name} is removed; {mib} MiB are free again.")


class OwnModels:
    """The models of a running node.

    Arguments:
        processor: the role that runs them; None for a node without.
        engines: its engines.
        cache: the folder of the model cache.
    """

    def __init__(self, processor: Processor | None, engines: Sequence[Engine], cache: Path) -> None:
        self._processor = processor
        self._all = {engine.name: engine for engine in engines}
        self._cache = cache

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Those that run here now, in no other server."""
        return tuple(self._all.values())

    def offers(self) -> dict[str, ModelOffer]:
        """What is offered now, by name; of another server too, where that runs this node's."""
        if self._processor is None:
            return {}
        return {offer.name: offer for offer in self._processor.announcement.models}

    def add(self, engine: Engine) -> None:
        """Offer one more."""
        assert self._processor is not None  # nothing makes an engine for a node without
        self._all[engine.name] = engine
        self._processor.add(engine)

    def withdraw(self, name: str) -> Engine | None:
        """Offer one no more, and end its process; gives its engine, which may take a moment to."""
        engine = self._all.pop(name, None)
        if engine is not None and self._processor is not None:
            if isinstance(engine, EngineProcess):
                engine.withdraw()
            self._processor.withdraw(name)
        return engine

    def runs(self, name: str, folder: Path | None) -> bool:
        """Whether what is offered under that name is the model of that folder."""
        process = self._process(name)
        return (None if process is None else process.folder) == folder

    def _process(self, name: str) -> EngineProcess | None:
        engine = self._all.get(name)
        return engine if isinstance(engine, EngineProcess) else None

    async def shown(self, known: tuple[ModelStatus, ...]) -> ModelList:
        """What a face is shown: those of the network with what is known here besides, and those
        that only lie on the disk.
        """
        return await trio.to_thread.run_sync(self._shown, known)

    def _shown(self, known: tuple[ModelStatus, ...]) -> ModelList:
        here = {model.name: model for model in lying_here(self._cache)}
        names = {model.name for model in known}
        others = tuple(model for model in here.values() if model.name not in names)
        own = tuple(self._with_own(model, here.get(model.name)) for model in known)
        return ModelList(models=own, on_disk=others)

    def _with_own(self, model: ModelStatus, here: ModelStatus | None) -> ModelStatus:
        if model.cold:
            model = replace(model, state="cold")
        engine = self._process(model.name)
        if engine is not None:
            size = here.bytes if here is not None else store.size_of(engine.folder)
            last = used(engine.folder, self._cache).last_used
            return replace(model, bytes=size, last_used=last)
        return model if here is None else replace(model, bytes=here.bytes)

    async def remove(self, name: str) -> Done:
        """Remove a pulled model, and offer it no more.

        Raises:
            ModelNotFound: it is not on this machine.
            InvalidRequest: it is loaded, here or by another node.
        """
        own = await trio.to_thread.run_sync(lambda: on_disk(canonical(name), self._cache)[0])
        engine = self._process(own)
        if engine is not None:
            offer = engine.offer()
            if not offer.cold and offer.state != "failed":
                raise InvalidRequest(
                    f"The model {own} is {offer.state} on this node, with {offer.running} requests "
                    f"at work and {offer.waiting} that wait: stop the node (`aiplat stop`), or "
                    "serve it without this model, and try again.",
                    param="model",
                )
        freed = await trio.to_thread.run_sync(remove, own, self._cache)
        if engine is not None:
            self.withdraw(own)
        return removed(own, freed)

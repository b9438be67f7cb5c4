"""The models that this machine has or could have, and what a face wants done with one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import trio

from aiplat.control.machine import KnownModel, PullWish, ServeWish, Shelf
from aiplat.control.messages import Done
from aiplat.domain.errors import ConfigError, InvalidRequest, clip
from aiplat.domain.models import ModelOffer
from aiplat.engine import store
from aiplat.engine.catalogue import ECHO, EMBEDDED, Embedded, canonical
from aiplat.engine.process import EngineProcess
from aiplat.engine.vector_folder import makes_vectors
from aiplat.runtime.own_models import OwnModels
from aiplat.runtime.pulls import Pulls
from aiplat.runtime.roles import NO_PROCESSOR, can_run_models
from aiplat.runtime.served import Served

_MIB = 1024 * 1024
_EMBEDS = "makes embeddings"


class ModelShelf:
    """That of one node.

    Arguments:
        own: what it runs.
        served: what it offers, which can be changed.
        pulls: what it brings.
        cache: the folder of the model cache.
        budget: what models may take together, in MiB; None where it runs none, or nobody knows.
    """

    def __init__(
        self,
        own: OwnModels,
        served: Served,
        pulls: Pulls,
        cache: Path,
        budget: Callable[[], int | None],
    ) -> None:
        self._own = own
        self._served = served
        self._pulls = pulls
        self._cache = cache
        self._budget = budget

    @property
    def is_bringing(self) -> bool:
        """Whether a model is being brought."""
        return self._pulls.any

    # -- what is there -------------------------------------------------------------------------

    async def shown(self) -> Shelf:
        """All of it: what the node offers first, then what lies here, then what is known."""
        offers = self._own.offers()
        folders = {
            engine.name: engine.folder if isinstance(engine, EngineProcess) else None
            for engine in self._own.engines
        }
        models, free = await trio.to_thread.run_sync(self._read, offers, folders)
        return Shelf(
            models=models, pulls=self._pulls.told(), memory_bytes=(self._budget() or 0) * _MIB,
            free_bytes=free, cache=str(self._cache),
        )  # fmt: skip

    def _read(
        self, offers: dict[str, ModelOffer], folders: dict[str, Path | None]
    ) -> tuple[tuple[KnownModel, ...], int]:
        lying = {one.name: (one, folder) for one, folder in store.pulled_folders(self._cache)}
        stored = {name: one for name, (one, _) in lying.items()}
        found = [
            KnownModel(
                name=name, served=True, note=_state(offer), here=name in stored or name in folders,
                bytes=stored[name].bytes if name in stored else _size(folders.get(name)),
            )
            for name, offer in offers.items()
        ]  # fmt: skip
        found += [
            KnownModel(
                name=name if store.is_named(one, self._cache) else one.source,
                bytes=one.bytes,
                here=True,
                note=_about_stored(one, lying[name][1]),
            )
            for name, one in stored.items()
            if name not in offers
        ]
        found += [
            KnownModel(name=name, bytes=model.wheel_bytes, note=_about(model))
            for name, model in EMBEDDED.items()
            if name not in offers and name not in stored
        ]
        return tuple(found), _free(self._cache)

    # -- what is wanted ------------------------------------------------------------------------

    async def pull(self, wish: PullWish) -> Done:
        """Begin to bring a model, or end that.

        Raises:
            AiplatError: there is no such name, this machine can run none, too many are under way
                or this one is not.
        """
        model = await trio.to_thread.run_sync(self._name, wish.model)
        if wish.cancel:
            return self._pulls.cancel(model)
        if model == ECHO:
            raise InvalidRequest("The model echo is always here: it needs no pull.", param="model")
        if not can_run_models():
            raise ConfigError(NO_PROCESSOR)  # it could not be converted
        if wish.serve:
            self._served.refuse(model)
        return self._pulls.begin(model, serve=wish.serve)

    async def serve(self, wish: ServeWish) -> Done:
        """Offer a model that lies here, or no more.

        Raises:
            AiplatError: it cannot be; says why.
        """
        if wish.off:
            return await self._served.withdraw(wish.model)
        return await self._served.serve(await trio.to_thread.run_sync(self._name, wish.model))

    def _name(self, name: str) -> str:
        """What a model is pulled and run by: its own name, or a whole path."""
        if canonical(name) == ECHO:
            return ECHO
        if not store.is_path(name):
            return store.place(name, self._cache)[0]
        path = Path(name).expanduser()
        if not path.is_absolute():
            raise InvalidRequest(
                f"Give the whole path of {clip(name)}: the node works in another folder.",
                param="model",
            )
        return str(path)

    async def removed(self, name: str) -> None:
        """A model was removed from the disk: it is chosen no more."""
        await self._served.forget(canonical(name))


def _state(offer: ModelOffer) -> str:
    """How a model that is offered stands, in words."""
    state = "it is loaded when it is asked for" if offer.cold else offer.state
    does = "" if offer.generates else f"{_EMBEDS}; "
    return f"{does}{state}: {offer.note}" if offer.note and not offer.cold else f"{does}{state}"


def _about_stored(model: store.Stored, folder: Path) -> str:
    """What it does, where that is not to answer, and where it is from."""
    does = _EMBEDS if makes_vectors(folder) else ""
    return "; ".join(words for words in (does, model.source) if words)


def _about(model: Embedded) -> str:
    what = f"weights of {model.quantisation}" if model.quantisation != "none" else "whole weights"
    size = round(model.unpacked_bytes / _MIB)
    does = "" if model.can == ("generate",) else f"{_EMBEDS}; "
    return f"{does}{model.licence}; {what}; it takes {size} MiB on the disk"


def _size(folder: Path | None) -> int:
    return 0 if folder is None else store.size_of(folder)


def _free(folder: Path) -> int:
    """What is free where `folder` lies, or will; 0 where nobody knows."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0

"""Which of this machine's models a node offers: changed while it runs, kept for its next start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import trio

from aiplat.control.messages import Done
from aiplat.domain.errors import InvalidRequest, ModelNotFound
from aiplat.engine import store
from aiplat.engine.catalogue import ECHO, canonical
from aiplat.engine.interface import Engine
from aiplat.engine.process import EngineProcess
from aiplat.runtime.chosen import ChosenFile
from aiplat.runtime.own_models import OwnModels

_END_SECONDS = 10.0
"""For the process of a model that is offered no more; an engine ends in `engine.stop_seconds`."""


class Maker(Protocol):
    """Makes a node's engines (`EngineMaker`)."""

    def make(self, name: str) -> Engine:
        """Make the engine of a model; raises `AiplatError`."""

    def told(self, offered: str) -> bool:
        """Whether the node offers it without a choice, by its command line or settings."""


class Served:
    """The models that are offered.

    Arguments:
        own: those of the node.
        maker: None where it runs none itself.
        why_not: why this node offers none of a name, in a sentence; empty where it does.
        chosen: remembers them.
        cache: the folder of the model cache.
    """

    def __init__(
        self,
        own: OwnModels,
        maker: Maker | None,
        why_not: Callable[[str], str],
        chosen: ChosenFile,
        cache: Path,
    ) -> None:
        self._own = own
        self._maker = maker
        self._why_not = why_not
        self._chosen = chosen
        self._cache = cache
        self._turn = trio.Lock()

    def refuse(self, name: str) -> None:
        """See that this node can offer a model of that name.

        Raises:
            InvalidRequest: it cannot; says why.
        """
        if why := self._why_not(name):
            raise InvalidRequest(why)

    async def serve(self, name: str) -> Done:
        """Offer a model that lies here, from now on; it is loaded when it is asked for.

        Raises:
            InvalidRequest: this node runs no models.
            NotReady: it is not on this machine.
            AiplatError: it cannot be offered, or the choice cannot be kept.
        """
        self.refuse(name)
        async with self._turn:
            offered, folder = await trio.to_thread.run_sync(self._found, name)
            new = offered not in self._own.offers()
            if new:
                assert self._maker is not None  # else it was refused
                self._own.add(self._maker.make(name))
            elif not self._own.runs(offered, folder):
                raise InvalidRequest(
                    f"Another model is offered as {offered} already: rename the folder or file.",
                    param="model",
                )
            await trio.to_thread.run_sync(self._chosen.add, name)
        return Done(
            message=f"The model {offered} is offered{' from now on' if new else ' already'}, and "
            "will be after restarts."
        )

    def _found(self, name: str) -> tuple[str, Path | None]:
        """What it is offered as, and its folder, which lies here; none for `echo`."""
        return (ECHO, None) if canonical(name) == ECHO else store.locate(name, self._cache)

    async def withdraw(self, name: str) -> Done:
        """Offer a model no more.

        Raises:
            InvalidRequest: it is at work, or this node runs no models.
            ModelNotFound: it is not offered here; names those that are.
            ConfigError: the choice cannot be kept.
        """
        async with self._turn:
            offered = await trio.to_thread.run_sync(store.offered_name, name)
            engine = self._end(offered)
            forgot = await trio.to_thread.run_sync(self._chosen.forget, offered)
            if engine is None and not forgot:
                self.refuse(name)
                raise ModelNotFound.of(name, self._own.offers(), where="that this node offers")
            if isinstance(engine, EngineProcess):
                with trio.move_on_after(_END_SECONDS):
                    await engine.gone.wait()
            again = await trio.to_thread.run_sync(self._is_told, offered)
        back = (
            ", but it is again after a restart: the node is told to by its command line or settings"
        )
        return Done(message=f"The model {offered} is offered no more{back if again else ''}.")

    def _is_told(self, offered: str) -> bool:
        return self._maker is not None and self._maker.told(offered)

    def _end(self, offered: str) -> Engine | None:
        """Withdraw it if it is offered, and has nothing to do."""
        offer = self._own.offers().get(offered)
        if offer is None:
            return None
        self.refuse(offered)
        if offer.running or offer.waiting:
            raise InvalidRequest(
                f"The model {offered} is at work on this node: {offer.running} requests run and "
                f"{offer.waiting} wait. Stop them, or wait for their end, and try again.",
                param="model",
            )
        return self._own.withdraw(offered)

    async def forget(self, offered: str) -> None:
        """Have the next start not offer it for that choice, as its files are gone."""
        async with self._turn:
            await trio.to_thread.run_sync(self._chosen.forget, offered)

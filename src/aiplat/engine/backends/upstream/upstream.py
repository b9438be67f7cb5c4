"""An upstream as a whole: which of its models are offered, looked at again and again.

A model that appears is offered, one that goes is `failed` with the reason; a server that is away
is asked again, with growing pauses, and at once when a request found it gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio
from msgspec.structs import replace

from aiplat.domain.errors import clip
from aiplat.domain.models import Ability
from aiplat.engine.backends.upstream.abilities import read_abilities
from aiplat.engine.backends.upstream.body import OLLAMA
from aiplat.engine.backends.upstream.engine import UpstreamEngine
from aiplat.engine.backends.upstream.failures import MAX_SENTENCE, read_told, refused_key
from aiplat.engine.backends.upstream.listing import Listed, named, read_models
from aiplat.engine.backends.upstream.server import Answered, Server, Unanswered
from aiplat.engine.backends.upstream.settings import UpstreamSettings
from aiplat.engine.pauses import Pauses
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.engine.upstream")

_STARTING = (429, 502, 503, 504)
"""Statuses of a server that is there and will answer soon, as llama.cpp's while it loads."""

OnModel = Callable[[UpstreamEngine], None]

NOBODY = "upstream"
"""What is offered, as failed and with the reason, while no model of the server's is known."""


class Upstream:
    """The models of one server.

    Arguments:
        server: where it is.
        names: the models that are offered; none of them named takes all that the server lists.
    """

    def __init__(
        self, server: Server, names: Sequence[str], settings: UpstreamSettings, metrics: Metrics
    ) -> None:
        self._server = server
        self._names = tuple(dict.fromkeys(names))
        self._settings = settings
        self._metrics = metrics
        self._engines: dict[str, UpstreamEngine] = {}
        self._can: dict[str, tuple[Ability, ...]] = {}
        self._wake = trio.Event()
        self._said = ""
        self._on_model: OnModel = lambda engine: None
        self._off_model: Callable[[str], None] = lambda name: None
        for name in self._names:
            self._add(name)

    @property
    def engines(self) -> list[UpstreamEngine]:
        """Those that are known so far: at first the ones that were named."""
        return list(self._engines.values())

    async def run(
        self,
        on_model: OnModel,
        off_model: Callable[[str], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Look at the server until cancelled.

        Arguments:
            on_model: hears of each model that comes later.
            off_model: hears the name of one that shall be offered no more.
        """
        self._on_model, self._off_model = on_model, off_model
        settings, address = self._settings, self._server.address
        if address.is_open:
            log.warning(
                "prompts%s go to the upstream %s in the clear, for anybody on the way to read: an "
                "https:// address hides them",
                " and the key" if self._server.key.name else "", address.host,
            )  # fmt: skip
        pauses = self._pauses()
        task_status.started()
        try:
            while True:
                self._wake = trio.Event()
                is_well = await self._look()
                if is_well:
                    pauses = self._pauses()
                with trio.move_on_after(settings.refresh_seconds if is_well else pauses.after(0)):
                    await self._wake.wait()
        finally:
            await self._server.close()

    def _pauses(self) -> Pauses:
        settings = self._settings
        return Pauses(settings.retry_first_seconds, settings.retry_most_seconds, float("inf"))

    def _doubted(self) -> None:
        self._wake.set()

    # -- a look ----------------------------------------------------------------------------------

    async def _look(self) -> bool:
        """Ask for the models; tells whether the server is as it should be."""
        try:
            listed = read_models(await self._server.list_models())
        except Unanswered as reason:
            return self._away(f"the upstream {reason}")
        except Answered as answer:
            return self._without_list(answer)
        if listed is None:
            return self._unlisted("it is no JSON of OpenAI's form")
        return self._offers(await self._with_abilities(listed))

    async def _with_abilities(self, listed: tuple[Listed, ...]) -> tuple[Listed, ...]:
        """Ask an Ollama once what each model does; others cannot be asked."""
        self._can = {one.name: self._can[one.name] for one in listed if one.name in self._can}
        found: list[Listed] = []
        for place, one in enumerate(listed):
            if one.kind == OLLAMA and place < self._settings.max_models:
                if one.name not in self._can:
                    try:
                        self._can[one.name] = read_abilities(await self._server.show(one.name))
                    except (Unanswered, Answered):
                        return (*found, *listed[place:])  # the next look asks again
                one = replace(one, can=self._can[one.name])
            found.append(one)
        return tuple(found)

    def _without_list(self, answer: Answered) -> bool:
        """It is there, and refuses its list."""
        status = answer.status
        if status in (401, 403):
            return self._away(f"the upstream {refused_key(status, self._server.key.name)}")
        if status in _STARTING:
            said = clip(read_told(answer.body).message, MAX_SENTENCE)
            text = f"the upstream is not ready (status {status}{': ' if said else ''}{said})"
            return self._away(text, is_starting=True)
        return self._unlisted(f"status {status}")

    def _unlisted(self, why: str) -> bool:
        if not self._names:
            return self._away(
                f"the upstream gives no list of its models ({why}): name them with --model"
            )
        self._say(f"gives no list of its models ({why}); those that were named are offered")
        return self._take_on_trust()

    def _away(self, note: str, *, is_starting: bool = False) -> bool:
        self._say(note.removeprefix("the upstream "), bad=True)
        if not self._engines:  # else nobody would be told
            self._on_model(self._add(NOBODY))
        for engine in self._engines.values():
            engine.is_away(note, "loading" if is_starting else "failed")
        return False

    def _take_on_trust(self) -> bool:
        for engine in self._engines.values():
            if not engine.refused:
                engine.is_there(Listed(name=engine.name))
        return True

    def _offers(self, listed: tuple[Listed, ...]) -> bool:
        if not listed and not self._names and set(self._engines) <= {NOBODY}:
            return self._away("the upstream answers, but lists no model with a name that may be")
        if self._names:
            for name in self._names:
                self._one(self._engines[name], listed)
        else:
            self._all(listed)
        ready = [e.name for e in self._engines.values() if e.is_ready]
        count = "1 model" if len(ready) == 1 else f"{len(ready)} models"
        self._say(f"answers, with {count}" if ready else "answers, but has no model")
        return True

    def _one(self, engine: UpstreamEngine, listed: tuple[Listed, ...]) -> None:
        """A model that was named: the list decides, where its server lists all that it has."""
        found = named(engine.name, listed)
        if found is not None:
            engine.is_there(found)
        elif any(one.kind for one in listed):
            few = ", ".join(one.name for one in listed[:5])
            engine.is_away(f"the upstream has no such model; it lists {few}")
        elif not engine.refused:
            engine.is_there(Listed(name=engine.name))

    def _all(self, listed: tuple[Listed, ...]) -> None:
        if listed and NOBODY in self._engines:
            del self._engines[NOBODY]
            self._off_model(NOBODY)
        for one in listed:
            engine = self._engines.get(one.name)
            if engine is None:
                if len(self._engines) >= self._settings.max_models:
                    self._metrics.bound_hits.labels("upstream_models").inc()
                    continue  # those that are known already may come after it
                engine = self._add(one.name)
                engine.is_there(one)
                self._on_model(engine)
            else:
                engine.is_there(one)
        names = {one.name for one in listed}
        for name, engine in self._engines.items():
            if name not in names:
                engine.is_away("the upstream offers it no more")

    def _add(self, name: str) -> UpstreamEngine:
        engine = UpstreamEngine(name, self._server, self._settings, self._metrics, self._doubted)
        self._engines[name] = engine
        return engine

    def _say(self, what: str, *, bad: bool = False) -> None:
        """Log it when it is news; here, and nowhere else, with the host."""
        if what == self._said:
            return
        self._said = what
        host = self._server.address.host
        if bad:
            log.warning("the upstream %s %s", host, what, extra={"upstream": host})
        else:
            log.info("the upstream %s %s", host, what, extra={"upstream": host, "sign": "🤖"})

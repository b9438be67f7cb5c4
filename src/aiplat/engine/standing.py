"""How one engine stands, in the words and figures of its offer."""

from __future__ import annotations

from collections.abc import Callable

import trio
from msgspec.structs import replace

from aiplat.domain.models import Ability, Manifest, ModelOffer
from aiplat.engine.memory import Footprint, free_mib
from aiplat.engine.messages import Numbers
from aiplat.engine.requests import Requests
from aiplat.telemetry.metrics import Metrics


class Standing:
    """The offer of one model.

    Arguments:
        name: the model's.
        slots: requests that it will run at once.
        load_seconds: about how long it takes to load.
        can: what it does, as far as is known before it is loaded.
    """

    def __init__(
        self,
        name: str,
        slots: int,
        load_seconds: float,
        metrics: Metrics,
        can: tuple[Ability, ...] = ("generate",),
    ) -> None:
        self._name = name
        self._can = can
        self._metrics = metrics
        self.slots = slots
        self.load_seconds = load_seconds
        self.on_change: Callable[[], None] = lambda: None
        self._loading_since = 0.0
        self._counted = Numbers()
        self.expected_wait = 0.0
        """Seconds that the next request would wait for a slot; 0 while unknown."""
        self._offer = ModelOffer(
            name=name, state="loading", note=f"{name} is being loaded", can=can
        )
        self._told = self._offer

    @property
    def state(self) -> str:
        """Its state, without figures."""
        return self._offer.state

    @property
    def note(self) -> str:
        """Why it is not ready, or slower than it could be."""
        return self._offer.note

    @property
    def is_cold(self) -> bool:
        """Whether it is not loaded, and nothing has called for it."""
        return self._offer.cold

    def offer(self, requests: Requests) -> ModelOffer:
        """What it offers now."""
        running = requests.running
        return replace(self._offer, running=running, waiting=len(requests) - running)

    @property
    def expected_seconds(self) -> float:
        """Until it is ready, as far as one can tell."""
        if not self._loading_since:
            return self.load_seconds
        return max(0.1, self.load_seconds - (trio.current_time() - self._loading_since))

    # -- what it becomes -----------------------------------------------------------------------

    def cold(self) -> None:
        """Not loaded; the next request loads it."""
        about = f"in about {max(1, round(self.load_seconds))} s"
        note = f"{self._name} is not loaded; the first request loads it, {about}"
        self._set("loading", note, cold=True)

    def loading(self, note: str = "", *, begun: bool = True) -> None:
        """On its way; `begun` says that its process runs."""
        self._set("loading", note or f"{self._name} is being loaded")
        self._loading_since = trio.current_time() if begun else 0.0

    def failed(self, note: str) -> None:
        """Of no use for now; the note says why."""
        self._set("failed", note)

    def ready(
        self,
        manifest: Manifest,
        slots: int,
        seconds: float,
        note: str,
        can: tuple[Ability, ...] = (),
    ) -> None:
        """Loaded, in so many seconds; the note says why it is slower than it could be.

        What it can is taken over, where its process tells.
        """
        self._can = can or self._can
        self.slots, self.load_seconds = slots, seconds
        self._loading_since = 0.0
        self._counted = Numbers()
        self._offer = ModelOffer(
            name=self._name, state="ready", manifest=manifest, slots=slots, note=note,
            can=self._can,
        )  # fmt: skip

    def count(self, numbers: Numbers) -> None:
        """What its process counts; no news by itself."""
        before, self._counted = self._counted, numbers
        metrics, name = self._metrics, self._name
        metrics.engine_kv_usage.labels(name).set(numbers.kv_used)
        looked = numbers.prefix_lookups - before.prefix_lookups
        found = numbers.prefix_hits - before.prefix_hits
        metrics.engine_prefix_lookups.labels(name).inc(max(0, looked))
        metrics.engine_prefix_hits.labels(name).inc(max(0, found))
        self.expected_wait = numbers.expected_wait
        self._offer = replace(self._offer, tokens_per_second=numbers.tokens_per_second)

    def gone(self) -> None:
        """Its process is: nothing of its memory is in use."""
        self._metrics.engine_kv_usage.labels(self._name).set(0)

    def _set(self, state: str, note: str, *, cold: bool = False) -> None:
        self._loading_since = 0.0
        load_ms = round(self.load_seconds * 1000) if state == "loading" else 0
        self._offer = ModelOffer(
            name=self._name, state=state, note=note, cold=cold, load_ms=load_ms,  # type: ignore[arg-type]  # one of its three
            slots=self.slots if cold else 0, can=self._can,
        )  # fmt: skip

    def tell(self, requests: Requests) -> None:
        """Tell when the offer differs; the speed alone is no news."""
        offer = self.offer(requests)
        news = replace(offer, tokens_per_second=0.0)
        if news == self._told:
            return
        self._told = news
        self._metrics.engine_running.labels(self._name).set(offer.running)
        self._metrics.engine_waiting.labels(self._name).set(offer.waiting)
        self.on_change()


def out_of_memory(print_: Footprint, cache: int, budget: int | None) -> str:
    """Why a load failed for want of memory, with the numbers, and what to do.

    Arguments:
        print_: what the model takes.
        cache: of that, the KV cache that it was given, in MiB.
        budget: what models may take together, in MiB.
    """
    free = free_mib()
    parts = [
        f"it takes about {print_.weights + print_.overhead} MiB and up to {cache} MiB of KV cache",
        f"{free} MiB are free on this machine" if free is not None else "",
        f"models may take {budget} MiB (engine.memory_mib)" if budget is not None else "",
    ]
    return (
        f"there was not enough memory to load it: {', '.join(part for part in parts if part)}. "
        "End what else runs, serve a smaller model, or lower engine.cache_mib"
    )

"""What is measured of one contender, once a round."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.engine.asking import Answer, Speaking, ask, together
from bench.engine.contenders import Running
from bench.engine.figures import percentile
from bench.engine.memory import Peak, pss_mib
from bench.engine.prompts import Prompts

AT_ONCE = (1, 8, 32)
_AFTER = 0.2
"""Seconds by which the short request comes after the long one."""
_SHORT = 8
"""Tokens of an answer where only the first matters."""


@dataclass(frozen=True)
class Sizes:
    """How much is asked: lengths in tokens, and how often where one is asked at a time."""

    story: int = 30
    answer: int = 64
    reading: int = 500
    long: int = 2000
    times: int = 3


QUICK = Sizes(answer=8, reading=100, long=300, times=1)

Figures = dict[str, float]


class Measuring:
    """One contender that runs, measured.

    Arguments:
        running: it.
        prompts: where prompts come from; the same for all contenders of a round.
        sizes: how much.
    """

    def __init__(self, running: Running, prompts: Prompts, sizes: Sizes) -> None:
        self._speaking: Speaking = running.speaking
        self._pid = running.pid
        self._prompts = prompts
        self._sizes = sizes

    def all(self, figures: Figures, failed: dict[str, str]) -> None:
        """Measure every scene: into `figures`, and of those that failed why into `failed`."""
        scenes: dict[str, Callable[[], Figures]] = {"warm-up": self.warm_up}
        scenes |= {f"{count} at once": partial(self.at_once, count) for count in AT_ONCE}
        scenes |= {"prefill": self.prefill, "behind": self.behind, "again": self.again}
        for name, scene in scenes.items():
            try:
                figures |= scene()
            except Exception as error:  # noqa: BLE001  # told in the table; the run goes on
                failed[name] = f"{type(error).__name__}: {str(error)[:300]}"
                print(f"    {name} failed: {failed[name]}", file=sys.stderr, flush=True)

    def warm_up(self) -> Figures:
        """Let it make what it makes at the first requests, and look at its memory then."""
        ask(self._speaking, self._prompts.story(self._sizes.story), _SHORT)
        together(self._speaking, [(self._story(), _SHORT, 0.0)] * 2)
        return {"pss_loaded": pss_mib(self._pid)}

    def at_once(self, count: int) -> Figures:
        """Stories for so many at once; one at a time a few times over."""
        waves = self._sizes.times if count == 1 else 1
        answers: list[Answer] = []
        seconds = 0.0
        with Peak(self._pid) as peak:
            for _ in range(waves):
                wave = [(self._story(), self._sizes.answer, 0.0) for _ in range(count)]
                got = together(self._speaking, wave)
                seconds += max(a.ended for a in got) - min(a.sent for a in got)
                answers += got
        ttfts = [answer.ttft for answer in answers]
        figures = {
            f"speed_{count}": sum(a.tokens for a in answers) / seconds,
            f"ttft_p50_{count}": statistics.median(ttfts),
            f"ttft_p95_{count}": percentile(ttfts, 0.95),
            f"out_{count}": statistics.mean(a.tokens for a in answers),
            f"in_{count}": statistics.mean(a.prompt_tokens for a in answers),
        }
        if count == 1:
            figures["stream"] = statistics.median(a.decoding for a in answers)
        if count == max(AT_ONCE):
            figures["pss_peak"] = peak.mib
        return figures

    def prefill(self) -> Figures:
        """A long prompt alone, each time another one."""
        got = [
            ask(self._speaking, self._prompts.reading(self._sizes.reading), _SHORT)
            for _ in range(self._sizes.times)
        ]
        return {
            "prefill": statistics.median(a.prompt_tokens / a.ttft for a in got),
            "prefill_ttft": _median_ttft(got),
            "prefill_in": statistics.mean(a.prompt_tokens for a in got),
        }

    def behind(self) -> Figures:
        """A short request shortly after a very long one."""
        shorts, longs = [], []
        for _ in range(self._sizes.times):
            long = self._prompts.reading(self._sizes.long)
            got = together(self._speaking, [(long, _SHORT, 0.0), (self._story(), _SHORT, _AFTER)])
            longs.append(got[0])
            shorts.append(got[1])
        return {"behind_short": _median_ttft(shorts), "behind_long": _median_ttft(longs)}

    def again(self) -> Figures:
        """The second turn of a conversation with a long first one."""
        second = []
        for _ in range(self._sizes.times):
            messages = self._prompts.reading(self._sizes.reading)
            first = ask(self._speaking, messages, _SHORT)
            messages = [
                *messages,
                {"role": "assistant", "content": first.text},
                {"role": "user", "content": "Go on with it."},
            ]
            second.append(ask(self._speaking, messages, _SHORT))
        return {"again_ttft": _median_ttft(second)}

    def _story(self) -> list[dict[str, str]]:
        return self._prompts.story(self._sizes.story)


def _median_ttft(answers: Sequence[Answer]) -> float:
    return statistics.median(answer.ttft for answer in answers)

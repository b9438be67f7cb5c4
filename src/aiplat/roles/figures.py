"""What a gateway measures of a request that ended: metrics, series and one line in the log."""

from __future__ import annotations

import logging
from collections.abc import Collection

from msgspec.structs import replace

from aiplat.domain.answers import Failed, Finished
from aiplat.domain.errors import LEAVES, clip
from aiplat.domain.usage import Usage
from aiplat.roles.forwarding import Forwarding
from aiplat.roles.watched import Saw
from aiplat.series.seen import Came, Seen
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.gateway")


def observe(
    metrics: Metrics,
    forwarding: Forwarding,
    end: Finished | Failed,
    known: Collection[str],
    now: float,
) -> None:
    """Count a request that ended.

    Arguments:
        known: the models that are offered: any other name is a stranger's text, no label.
        now: the time of its end, in seconds.
    """
    model = metrics.model_label(forwarding.model) if forwarding.model in known else "unknown"
    outcome = outcome_of(end)
    stages = forwarding.stages
    timings = stages.timings(now)
    total, first = timings.total_ms / 1000, timings.first_token_ms / 1000
    metrics.request_duration.labels(model, outcome).observe(total)
    if forwarding.is_placed:
        metrics.route_attempts.labels(outcome).inc()
    if stages.first_token_at is not None:
        metrics.time_to_first_token.labels(model).observe(first)
        if forwarding.tokens > 1:
            per_token = (total - first) / (forwarding.tokens - 1)
            metrics.time_per_output_token.labels(model).observe(per_token)
    if end.usage is not None and forwarding.started is not None:
        metrics.token_usage.labels(model, "input").observe(end.usage.prompt_tokens)
        metrics.token_usage.labels(model, "output").observe(end.usage.completion_tokens)
    _log(forwarding, end, outcome, timings.total_ms)


def tell_what_came(saw: Saw, forwarding: Forwarding) -> None:
    """Tell the series of the tokens that came of one under way since they were told last."""
    new = forwarding.tokens - forwarding.told_tokens
    if new <= 0:
        return
    forwarding.told_tokens += new
    came = Came(
        role="gateway", model=forwarding.model, key=_key_of(forwarding),
        peer=forwarding.processor or "", tokens=new,
    )  # fmt: skip
    saw(came)
    if forwarding.is_own:
        saw(replace(came, role="client", key=""))


def tell_series(saw: Saw, forwarding: Forwarding, end: Finished | Failed, now: float) -> None:
    """Tell the series of it; of one that this node's own faces asked, as the client's too.

    Arguments:
        now: the time of its end, in seconds.
    """
    stages, usage = forwarding.stages, end.usage or Usage(0, 0)
    first = stages.first_token_at
    seen = Seen(
        role="gateway",
        model=forwarding.model,
        key=_key_of(forwarding),
        peer=forwarding.processor or "",
        failed=isinstance(end, Failed),
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        first_seconds=None if first is None else first - stages.arrived,
        total_seconds=now - stages.arrived,
        told_tokens=forwarding.told_tokens,
    )
    saw(seen)
    if forwarding.is_own:
        saw(replace(seen, role="client", key=""))


def _key_of(forwarding: Forwarding) -> str:
    """The id of the API key that it came with."""
    return forwarding.lease.key if forwarding.lease is not None else ""


def outcome_of(end: Finished | Failed) -> str:
    """How it ended, out of a closed set: a peer may put any text in a code."""
    if isinstance(end, Finished):
        return end.reason
    return end.code if end.code in LEAVES else "other"


def _log(forwarding: Forwarding, end: Finished | Failed, outcome: str, total_ms: float) -> None:
    request = forwarding.submission.id
    count = forwarding.tokens if end.usage is None else end.usage.completion_tokens
    extra = {
        "request": request, "key": _key_of(forwarding),
        "processor": forwarding.processor or "", "model": forwarding.model,
        "completion_tokens": count, "total_ms": round(total_ms, 1), "outcome": outcome,
    }  # fmt: skip
    if isinstance(end, Finished):
        log.info("request %s: %s, %d tokens in %.1f s", request, outcome, count, total_ms / 1000,
                 extra=extra | {"sign": "✅"})  # fmt: skip
    else:
        log.warning(
            "request %s failed: %s", request, clip(end.message, 300), extra=extra | {"sign": "❌"}
        )

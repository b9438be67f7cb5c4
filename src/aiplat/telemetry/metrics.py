"""Every metric of a node. One registry a node, made at its start and handed down.

Names under ``gen_ai_`` and their buckets are OpenTelemetry's semantic conventions for generative
AI in Prometheus' form; ours begin with ``aiplat_``. Labels hold only values from closed sets, and
the names of a bounded number of models: never a peer, a key or a stranger's text.

``python -m aiplat.telemetry.metrics`` writes ``docs/metrics.md`` on stdout.
"""

from __future__ import annotations

import sys

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from aiplat.telemetry.describe import document
from aiplat.telemetry.labels import AUTH_REASONS, LIMITS, LOST, MAX_MODEL_LABELS

_DURATION = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_TOKEN = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
                7.5, 10.0)  # fmt: skip
_PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS = tuple(float(4**power) for power in range(14))
_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


class Labels:
    """Keeps a label to few values: the first `limit` stay, any later one is ``other``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        """Give `value`, or ``other`` when there are too many already."""
        if value not in self._seen:
            if len(self._seen) >= self._limit:
                return "other"
            self._seen.add(value)
        return value


class Metrics:
    """The page. Durations are in seconds; each is observed by the process whose clock it is."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.model_label = Labels(MAX_MODEL_LABELS)
        self._make_for_requests(self.registry)
        self._make_for_gateways(self.registry)
        self._make_for_accounts(self.registry)
        self._make_for_engines(self.registry)
        self._begin_at_zero()

    def all(self) -> list[MetricWrapperBase]:
        """Every metric, in no order."""
        return [metric for metric in vars(self).values() if isinstance(metric, MetricWrapperBase)]

    def _begin_at_zero(self) -> None:
        """Have the first failure be seen: a series that begins at 1 has not risen."""
        for reason in AUTH_REASONS:
            self.auth_failures.labels(reason)
        for limit in LIMITS:
            self.ratelimit_rejections.labels(limit)
        for reason in LOST:
            self.channels_lost.labels(reason)

    def _make_for_requests(self, r: CollectorRegistry) -> None:
        self.request_duration = Histogram(
            "gen_ai_server_request_duration_seconds",
            "Time from a request's arrival to its end.",
            ["gen_ai_request_model", "outcome"], buckets=_DURATION, registry=r,
        )  # fmt: skip
        self.time_to_first_token = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Time from a request's arrival to its first token.",
            ["gen_ai_request_model"], buckets=_FIRST_TOKEN, registry=r,
        )  # fmt: skip
        self.time_per_output_token = Histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Mean time between the tokens of an answer, the first left out.",
            ["gen_ai_request_model"], buckets=_PER_TOKEN, registry=r,
        )  # fmt: skip
        self.token_usage = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of a request.",
            ["gen_ai_request_model", "gen_ai_token_type"], buckets=_TOKENS, registry=r,
        )  # fmt: skip

    def _make_for_gateways(self, r: CollectorRegistry) -> None:
        self.gateway_overhead = Histogram(
            "aiplat_gateway_overhead_seconds",
            "Time from a request's arrival at the gateway to its leaving for a processor, "
            "the wait in the queue left out.",
            buckets=_OVERHEAD, registry=r,
        )  # fmt: skip
        self.queue_depth = Gauge(
            "aiplat_queue_depth", "Requests that wait at the gateway for a processor.", registry=r
        )
        self.queue_wait = Histogram(
            "aiplat_queue_wait_seconds", "Time that requests waited at the gateway.",
            buckets=_DURATION, registry=r,
        )  # fmt: skip
        self.peers = Gauge(
            "aiplat_peers", "Peers by role and state.", ["role", "state"], registry=r
        )
        self.route_attempts = Counter(
            "aiplat_route_attempts_total",
            "Placements of requests on processors, by how they ended.", ["outcome"], registry=r,
        )  # fmt: skip
        self.auth_failures = Counter(
            "aiplat_auth_failures_total",
            "Requests, log-ins and registrations refused for their credential.",
            ["reason"], registry=r,
        )  # fmt: skip
        self.bound_hits = Counter(
            "aiplat_bound_hits_total", "Times that a bound of this node refused something.",
            ["bound"], registry=r,
        )  # fmt: skip
        self.protocol_violations = Counter(
            "aiplat_protocol_violations_total",
            "Channels ended because the peer broke the protocol.", registry=r,
        )  # fmt: skip
        self.channels_lost = Counter(
            "aiplat_channels_lost_total", "Channels that ended without a goodbye, by how.",
            ["reason"], registry=r,
        )  # fmt: skip

    def _make_for_accounts(self, r: CollectorRegistry) -> None:
        self.ratelimit_rejections = Counter(
            "aiplat_ratelimit_rejections_total",
            "Requests that a limit refused, or ended in the middle, by which.",
            ["limit"], registry=r,
        )  # fmt: skip
        self.accounts_events = Counter(
            "aiplat_accounts_events_total",
            "Requests that were counted for an account, by how they ended.",
            ["outcome"], registry=r,
        )  # fmt: skip
        self.accounts_unwritten = Gauge(
            "aiplat_accounts_unwritten_events", "Counted requests that are not on the disk yet.",
            registry=r,
        )  # fmt: skip
        self.accounts_flush = Histogram(
            "aiplat_accounts_flush_seconds", "Time that a batch of usage took to be written.",
            buckets=_OVERHEAD, registry=r,
        )  # fmt: skip
        self.accounts_store_failures = Counter(
            "aiplat_accounts_store_failures_total",
            "Times that the accounts' database took no write; nothing is admitted meanwhile.",
            registry=r,
        )  # fmt: skip

    def _make_for_engines(self, r: CollectorRegistry) -> None:
        self.engine_running = Gauge(
            "aiplat_engine_running", "Requests that an engine runs.", ["model"], registry=r
        )
        self.engine_waiting = Gauge(
            "aiplat_engine_waiting", "Requests that wait in an engine.", ["model"], registry=r
        )
        self.engine_kv_usage = Gauge(
            "aiplat_engine_kv_usage_ratio", "Share of an engine's KV cache that is in use.",
            ["model"], registry=r,
        )  # fmt: skip
        self.engine_prefix_lookups = Counter(
            "aiplat_engine_prefix_lookup_tokens_total",
            "Tokens of prompts that were looked for among what the KV cache kept.",
            ["model"], registry=r,
        )  # fmt: skip
        self.engine_prefix_hits = Counter(
            "aiplat_engine_prefix_hit_tokens_total",
            "Tokens of prompts that the KV cache had kept, and that were not read again.",
            ["model"], registry=r,
        )  # fmt: skip
        self.engine_restarts = Counter(
            "aiplat_engine_restarts_total", "Times that an engine's process was started again.",
            ["model"], registry=r,
        )  # fmt: skip
        self.engine_loads = Counter(
            "aiplat_engine_loads_total", "Times that a model was loaded.", ["model"], registry=r
        )
        self.engine_load_failures = Counter(
            "aiplat_engine_load_failures_total",
            "Times that a model could not be loaded, or its process died before it was.",
            ["model"], registry=r,
        )  # fmt: skip
        self.engine_load_seconds = Gauge(
            "aiplat_engine_load_seconds", "How long the last load of a model took.",
            ["model"], registry=r,
        )  # fmt: skip
        self.engine_unloads = Counter(
            "aiplat_engine_unloads_total",
            "Times that a model was unloaded: for another's room, unused, or for new settings.",
            ["model"], registry=r,
        )  # fmt: skip
        self.engine_loaded = Gauge(
            "aiplat_engine_models_loaded", "Models that are loaded, or being loaded.", registry=r
        )


if __name__ == "__main__":
    sys.stdout.write(document(Metrics().all()))

"""The page of metrics: its docs, its closed sets of labels, and what begins at zero."""

from __future__ import annotations

import re
from pathlib import Path

import aiplat
from aiplat.domain.accounts import Limits
from aiplat.node import channel
from aiplat.telemetry.describe import document
from aiplat.telemetry.labels import AUTH_REASONS, LABELS, LIMITS, LOST, entry_of
from aiplat.telemetry.metrics import Metrics

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
SOURCE = Path(aiplat.__path__[0])

PROMISED = {
    "gen_ai_server_request_duration_seconds": ("gen_ai_request_model", "outcome"),
    "gen_ai_server_time_to_first_token_seconds": ("gen_ai_request_model",),
    "gen_ai_server_time_per_output_token_seconds": ("gen_ai_request_model",),
    "gen_ai_client_token_usage": ("gen_ai_request_model", "gen_ai_token_type"),
    "aiplat_gateway_overhead_seconds": (),
    "aiplat_queue_depth": (),
    "aiplat_queue_wait_seconds": (),
    "aiplat_peers": ("role", "state"),
    "aiplat_route_attempts_total": ("outcome",),
    "aiplat_ratelimit_rejections_total": ("limit",),
    "aiplat_auth_failures_total": ("reason",),
    "aiplat_engine_running": ("model",),
    "aiplat_engine_waiting": ("model",),
    "aiplat_engine_kv_usage_ratio": ("model",),
    "aiplat_engine_restarts_total": ("model",),
    "aiplat_bound_hits_total": ("bound",),
    "aiplat_accounts_store_failures_total": (),
    "aiplat_accounts_flush_seconds": (),
    "aiplat_accounts_unwritten_events": (),
}
"""Names that dashboards and alerts are built on: one that changes breaks them."""


def test_the_docs_are_what_the_code_says() -> None:
    assert DOCS.read_text() == document(Metrics().all()), (
        "run: python -m aiplat.telemetry.metrics > docs/metrics.md"
    )


def test_the_promised_names_have_their_labels() -> None:
    text = DOCS.read_text()
    for name, labels in PROMISED.items():
        [row] = re.findall(rf"^\| `{name}` \|[^|]*\| ([^|]*) \|", text, re.MULTILINE)
        assert row == (", ".join(f"`{label}`" for label in labels) or "none"), name


def test_every_metric_and_no_other_is_documented() -> None:
    metrics = Metrics()
    families = {family.name for family in metrics.registry.collect()}
    named = set(re.findall(r"^\| `((?:gen_ai|aiplat)_\w+)` \| (?!`)", DOCS.read_text(), re.M))
    assert {name.removesuffix("_total") for name in named} - {"gen_ai_request_model"} >= families
    assert len(metrics.all()) == len(families)


def test_every_label_is_described_and_used() -> None:
    used = set()
    for metric in Metrics().all():
        for label in metric._labelnames:
            used |= {entry_of(metric._name, label), entry_of(f"{metric._name}_total", label)}
    assert set(LABELS) <= used
    assert {label.rpartition(" ")[2] for label in used} == {
        entry.rpartition(" ")[2] for entry in LABELS
    }


def test_the_sets_of_labels_are_those_that_the_code_has() -> None:
    said = set()
    for path in (*SOURCE.rglob("http/*.py"), *SOURCE.rglob("accounts/*.py")):
        said |= set(re.findall(r'_failures\.labels\("(\w+)"\)', path.read_text()))
    assert said <= set(AUTH_REASONS), "name it in AUTH_REASONS, so that it begins at zero"
    assert said, "the pattern still finds them"
    assert set(LOST) == set(channel._LOST)
    assert set(LIMITS) == set(Limits.__struct_fields__)


def test_failures_begin_at_zero_so_that_the_first_is_seen_to_rise() -> None:
    registry = Metrics().registry
    for name, labels in (
        ("aiplat_auth_failures_total", {"reason": "wrong"}),
        ("aiplat_ratelimit_rejections_total", {"limit": "concurrent"}),
        ("aiplat_channels_lost_total", {"reason": "silence"}),
    ):
        assert registry.get_sample_value(name, labels) == 0.0

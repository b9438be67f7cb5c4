"""Writes the metrics down as a Markdown table, for ``docs/metrics.md``."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from aiplat.telemetry.labels import LABELS, entry_of

_INTRODUCTION = """\
# Metrics

Made by `python -m aiplat.telemetry.metrics > docs/metrics.md`. Do not edit: a metric is described
where it is defined.

A node shows them at `/metrics` of its HTTP door, in Prometheus' text form, to who has its local
token or an operator's key with the scope `admin`. Names under `gen_ai_`, and their buckets, are
those of OpenTelemetry's semantic conventions for generative AI. Durations are in seconds, each by
one process's steady clock. A gateway counts requests, their times and tokens; a processor its
engines. No label holds a peer, a key, or a text of a person's; what a node keeps by model, key and
peer is in its own series (section `series` of [settings.md](settings.md)).
The folder `deploy/` has alert rules and a dashboard.

The last column says how many series a metric has at most: as many as its labels have values
together. A histogram has so many for each of its bounds (the upper ends of its buckets), and a few
besides. What begins at zero, such as each `reason`, is there before it happens.
"""


def document(metrics: Iterable[MetricWrapperBase]) -> str:
    """Describe every metric, and every label.

    Raises:
        KeyError: nobody described one of the labels.
    """
    listed = sorted(metrics, key=_name)
    labels = {entry_of(_name(metric), label) for metric in listed for label in metric._labelnames}
    return "\n".join(
        [
            _INTRODUCTION,
            "| Name | Type | Labels | Meaning | At most |",
            "|---|---|---|---|---|",
            *map(_row, listed),
            "",
            "| Label | Of | Says |",
            "|---|---|---|",
            *(_label_row(entry) for entry in sorted(labels, key=lambda entry: entry.split()[::-1])),
            "",
        ]
    )


def _name(metric: MetricWrapperBase) -> str:
    """As it is scraped."""
    return f"{metric._name}_total" if isinstance(metric, Counter) else metric._name


def _row(metric: MetricWrapperBase) -> str:
    name, kind = _name(metric), str(metric._type)
    if isinstance(metric, Histogram):
        kind += f", {len(metric._kwargs['buckets'])} bounds"
    labels = ", ".join(f"`{label}`" for label in metric._labelnames) or "none"
    bounds = [str(LABELS[entry_of(name, label)].most) for label in metric._labelnames]
    return f"| `{name}` | {kind} | {labels} | {metric._documentation} | {' × '.join(bounds) or 1} |"


def _label_row(entry: str) -> str:
    metric, _, label = entry.rpartition(" ")
    others = "any other" if any(other.endswith(f" {label}") for other in LABELS) else "all"
    return f"| `{label}` | {f'`{metric}`' if metric else others} | {LABELS[entry].meaning} |"

"""What lies in deploy/: checked by Prometheus' own tools, and used by a real one on a real node."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiplat.telemetry.metrics import Metrics
from tests.support.nodes import Door, RunningNode, chat, wait_for_model
from tests.support.prometheus import Prometheus, needs_prometheus, needs_promtool, promtool
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "aiplat.rules.yml"
RULES_TEST = ROOT / "tests" / "data" / "prometheus" / "aiplat.rules.test.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "aiplat.json").read_text())

ALERTS = {
    "AiplatNodeDown", "AiplatNoProcessor", "AiplatErrors", "AiplatSlowFirstToken",
    "AiplatQueueLong", "AiplatRateLimitRejections", "AiplatAuthFailures",
    "AiplatAccountsStoreFailing", "AiplatAccountsUnwritten", "AiplatEngineRestarts",
}  # fmt: skip

ANSWERED = (
    "gen_ai_server_request_duration_seconds", "gen_ai_server_time_to_first_token_seconds",
    "gen_ai_server_time_per_output_token_seconds", "gen_ai_client_token_usage",
    "aiplat_gateway_overhead_seconds", "aiplat_queue_depth", "aiplat_queue_wait_seconds",
    "aiplat_peers", "aiplat_route_attempts_total", "aiplat_auth_failures_total",
    "aiplat_ratelimit_rejections_total", "aiplat_channels_lost_total", "aiplat_accounts_events",
    "aiplat_accounts_flush", "aiplat_accounts_unwritten", "aiplat_engine_running",
    "aiplat_engine_models_loaded", "up{",
)  # fmt: skip
"""A query on one of these has data after some requests to a node with the model echo. It has none
of what only failures, or an engine in a process of its own, count."""


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


# -- the files -----------------------------------------------------------------------------------


@needs_promtool
def test_the_configuration_is_one(tmp_path: Path) -> None:
    folder = shutil.copytree(DEPLOY / "prometheus", tmp_path / "p")
    (folder / "aiplat.token").write_text("sk-aip-x\n")
    said = promtool("check", "config", str(folder / "prometheus.yml"))
    assert "1 rule files found" in said


@needs_promtool
def test_the_rules_are_rules_and_each_fires_where_it_shall_and_nowhere_else() -> None:
    promtool("check", "rules", "--lint-fatal", str(RULES))
    promtool("test", "rules", str(RULES_TEST))
    names = set(re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE))
    assert names == ALERTS
    tests = RULES_TEST.read_text()
    for name in names:
        assert tests.count(name) >= 2, f"{name} is seen to fire and to be silent"


def test_alerts_and_graphs_are_of_metrics_that_there_are() -> None:
    known = {"up"}
    for metric in Metrics().registry.collect():
        parts = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        known |= {metric.name + part for part in parts.get(metric.type, [""])}
    for text in (RULES.read_text(), *expressions()):
        used = set(re.findall(r"\b(?:aiplat|gen_ai)_[a-z_]+(?=[{\[])", text))
        assert used <= known, used - known
        assert used or "up{" in text


def test_the_dashboard_is_whole() -> None:
    assert DASHBOARD["uid"] == "aiplat"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        }  # fmt: skip
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    for panel in panels():
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert all('instance=~"$instance"' in target["expr"] for target in panel["targets"])
    shown = " ".join(expressions())
    for metric in Metrics().all():
        assert metric._name in shown, f"{metric._name} is in no graph"


# -- a real Prometheus and a real node -----------------------------------------------------------


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, Prometheus]]:
    """A node with the model echo that answered, and a Prometheus that saw it answer."""
    folder = tmp_path_factory.mktemp("watched")
    echo = ("--listen", "/ip4/127.0.0.1/tcp/0", "--model", "echo", "--echo-rate", "0")
    node = RunningNode(folder / "node", *echo)
    try:
        wait_for_model(node)
        config = configured(folder / "prometheus", node)
        with Prometheus(config, folder / "data") as prometheus:
            answer(node)  # counters are there before they rise
            scraped(prometheus, 2)
            answer(node)
            scraped(prometheus, 2)
            yield node, prometheus
    finally:
        node.close()


def configured(folder: Path, node: RunningNode) -> Path:
    """The configuration as it lies in deploy/, but for the node and how often."""
    shutil.copytree(DEPLOY / "prometheus", folder)
    shutil.copy(node.home / "state" / "token", folder / "aiplat.token")
    path = folder / "prometheus.yml"
    text, door = path.read_text(), str(node.status["http"]).removeprefix("http://")
    assert text.count("127.0.0.1:8777") == text.count("scrape_interval: 15s") == 1
    text = text.replace("127.0.0.1:8777", door).replace("_interval: 15s", "_interval: 1s")
    path.write_text(text)
    return path


def answer(node: RunningNode) -> None:
    with Door(node) as door:
        for number in range(5):
            status, _, body = door.request("POST", "/v1/chat/completions", chat(f"a b c {number}"))
            assert status == 200, body
    status, _, _ = node.request("GET", "/v1/models", token="sk-aip-wrong")
    assert status == 401


def scraped(prometheus: Prometheus, times: int) -> None:
    """Wait for so many scrapes more."""
    count = 'count_over_time(up{job="aiplat"}[1h])'
    before = sum(prometheus.values(count))
    eventually(
        lambda: (
            sum(prometheus.values(count)) >= before + times
            and prometheus.values('up{job="aiplat"}') == [1.0]
        ),
        60,
        "scrapes",
    )


def filled_in(expression: str) -> str:
    return expression.replace("$instance", ".*").replace("$__rate_interval", "1m")


@pytest.mark.slow
@needs_prometheus
def test_every_query_of_the_dashboard_is_answered(
    watched: tuple[RunningNode, Prometheus],
) -> None:
    _, prometheus = watched
    empty = []
    for expression in expressions():
        found = prometheus.query(filled_in(expression))
        of_failures = "sum by (outcome)" in expression and "outcome!~" in expression
        if not found and not of_failures and any(name in expression for name in ANSWERED):
            empty.append(expression)
    assert not empty
    [definition] = [
        variable["definition"]
        for variable in DASHBOARD["templating"]["list"] if variable["name"] == "instance"
    ]  # fmt: skip
    assert definition == 'label_values(up{job="aiplat"}, instance)'
    assert len(prometheus.api("label/instance/values", **{"match[]": 'up{job="aiplat"}'})) == 1


@pytest.mark.slow
@needs_prometheus
def test_the_figures_are_those_of_the_requests(watched: tuple[RunningNode, Prometheus]) -> None:
    _, prometheus = watched
    count = "gen_ai_server_request_duration_seconds_count"
    [series] = prometheus.query(count)
    assert series["value"][1] == "10"
    assert series["metric"]["gen_ai_request_model"] == "echo"
    assert series["metric"]["outcome"] in ("stop", "length")
    [rate] = prometheus.values(f"sum(rate({count}[1m]))")
    assert rate > 0
    [first] = prometheus.values(
        "histogram_quantile(0.95, sum by (le) "
        "(rate(gen_ai_server_time_to_first_token_seconds_bucket[1m])))"
    )
    assert 0 < first < 10
    assert prometheus.values("sum(aiplat_auth_failures_total)") == [2.0]


@pytest.mark.slow
@needs_prometheus
def test_the_rules_are_evaluated_without_a_fault_and_a_healthy_node_is_silent(
    watched: tuple[RunningNode, Prometheus],
) -> None:
    _, prometheus = watched

    def rules() -> list[dict[str, Any]]:
        [group] = prometheus.api("rules")["groups"]
        return list(group["rules"])

    eventually(lambda: all(rule["health"] == "ok" for rule in rules()), 60)
    assert {rule["name"] for rule in rules()} == ALERTS
    assert [rule["name"] for rule in rules() if rule["state"] != "inactive"] == []


@pytest.mark.slow
@needs_prometheus
def test_a_target_with_a_wrong_token_is_not_scraped(
    watched: tuple[RunningNode, Prometheus], tmp_path: Path
) -> None:
    node, _ = watched
    config = configured(tmp_path / "prometheus", node)
    (tmp_path / "prometheus" / "aiplat.token").write_text("sk-aip-wrong")
    with Prometheus(config, tmp_path / "data") as prometheus:
        eventually(lambda: prometheus.values('up{job="aiplat"}') == [0.0], 60)

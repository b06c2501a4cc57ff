"""What is watched is what the shop shows: metrics by name and label, processes by name, sections by heading."""

import json
import re

import prometheus_client
import pytest
import yaml

import chassis.telemetry
import ordermill.audit.watching
from tests.architecture.documents import OPERATIONS
from tests.support.composed import ROOT, ours, services

OBSERVE = ROOT / "deploy/observe"
OURS = re.compile(r"\b(ordermill_\w+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
OF_PROMETHEUS = {"le", "process", "instance", "job", "queue"}  # its own, and what prometheus.yml adds
OF_RABBITMQ = {"rabbitmq_detailed_queue_messages", "rabbitmq_detailed_queue_consumers"}
SAMPLES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
WATCHED = (chassis.telemetry, ordermill.audit.watching)


def shown() -> dict[str, set[str]]:
    """The samples that processes show, with their labels: read off the modules that declare them."""
    metrics = {
        metric
        for module in WATCHED
        for metric in vars(module).values()
        if isinstance(metric, prometheus_client.metrics.MetricWrapperBase)
    }
    return {
        f"{metric._name}{suffix}": set(metric._labelnames) for metric in metrics for suffix in SAMPLES[metric._type]
    }


def dashboards() -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((OBSERVE / "grafana/dashboards").glob("*.json"))]


def rules() -> list[dict]:
    return [rule for group in yaml.safe_load((OBSERVE / "alerts.yml").read_text())["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    drawn = [target["expr"] for board in dashboards() for panel in board["panels"] for target in panel["targets"]]
    return [*drawn, *(rule["expr"] for rule in rules())]


@pytest.mark.parametrize("expression", expressions())
def test_what_is_drawn_or_alerted_on_is_shown_by_the_shop(expression):
    known = shown()
    asked = OURS.findall(expression)

    assert asked or re.search(r"\bup\b|rabbitmq_", expression)
    assert {name for name, _ in asked} <= set(known)
    labels = {label for name, _ in asked for label in known[name]} | OF_PROMETHEUS
    matched = {label for _, matchers in asked for label in re.findall(r"(\w+)=", matchers)}
    grouped = {label.strip() for group in GROUPED.findall(expression) for label in group.split(",")}
    assert matched | grouped <= labels
    assert set(re.findall(r"rabbitmq_\w+", expression)) <= OF_RABBITMQ


def test_a_name_that_nobody_shows_would_be_noticed():
    assert "ordermill_items_total" in shown()
    assert "ordermill_invariant_broken" in shown()
    assert "ordermill_items" not in shown()


def test_every_process_with_metrics_is_scraped():
    [shop, _] = yaml.safe_load((OBSERVE / "prometheus.yml").read_text())["scrape_configs"]
    [found] = shop["dns_sd_configs"]

    assert set(found["names"]) == set(ours("run")) - {"gateway", "provider"}
    assert found["port"] == 8000


def test_every_alert_has_a_runbook_and_every_runbook_its_alert():
    section = re.search(r"^## When an alert fires$(.*?)^## ", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL)[1]
    headings = re.findall(r"^### (.+)$", section, re.MULTILINE)

    assert [rule["annotations"]["runbook"] for rule in rules()] == [
        f"docs/operations.md#{heading.lower()}" for heading in headings
    ]
    assert [rule["alert"] for rule in rules()] == headings


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_runbook_says_what_it_means_what_to_look_at_what_to_do_and_when_to_wake_somebody(rule):
    text = OPERATIONS.read_text()
    [runbook] = re.findall(rf"^### {rule['alert']}\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL)

    assert re.findall(r"^\*\*(.+?)\*\*", runbook, re.MULTILINE) == ["What it means", "Look at", "Do", "Wake somebody"]
    assert rule["labels"]["severity"] == ("ticket" if "**Wake somebody** no" in runbook else "page")


def test_what_observers_mount_is_there():
    mounted = {
        mount.split(":")[0]
        for service in services().values()
        for mount in service.get("volumes", ())
        if mount[0] == "."
    }

    assert len(mounted) == 5
    assert {path for path in mounted if not (ROOT / path).exists()} == set()

"""What is written about the metrics agrees with the metrics: dashboard, alerts, documentation."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from test_metrics import PI, metrics, performance, result
from where import CHECKOUT

DEPLOY = CHECKOUT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/pi-detector.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SUFFIXES = {"counter": "_total", "info": "_info"}
# Of the scrape itself, and of node_exporter.
OTHERS = {"up", "node_textfile_mtime_seconds"}


def families() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Name, type and labels of all metrics."""
    one = metrics()
    one.handle(result(1))
    one.handle(performance(PI))
    for family in text_string_to_metric_families(one.exposition()[0].decode()):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        yield (
            family.name + SUFFIXES.get(family.type, ""),
            family.type,
            tuple(sorted(labels)),
        )


def known_names() -> set[str]:
    """Names that an expression may ask for."""
    names = set(OTHERS)
    for name, kind, _ in families():
        parts = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        names.update(name + part for part in parts)
    return names


def names_in(expression: str) -> list[str]:
    return re.findall(r"\b(?:pi_detector_|node_)\w+", expression)


def expressions(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_is_complete_and_asks_for_what_there_is(panel: dict[str, Any]) -> None:
    datasource = {"type": "prometheus", "uid": "${datasource}"}
    assert panel["datasource"] == datasource
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for target in panel["targets"]:
        assert target["datasource"] == datasource
        names = names_in(target["expr"])
        assert names
        assert set(names) <= known_names()
        assert target["expr"].count("$instance") == len(names)


def test_panels_do_not_lie_upon_each_other() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for one, other in combinations([panel["gridPos"] for panel in DASHBOARD["panels"]], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above
        assert one["x"] + one["w"] <= 24


def test_every_metric_of_a_machine_is_drawn() -> None:
    drawn = set().union(*(names_in(each) for panel in PANELS for each in expressions(panel)))
    for name, _, _ in families():
        if "_host_" in name and "uptime" not in name:
            # What was earlier is drawn by the history of what is now.
            assert name in drawn or name == "pi_detector_host_throttling_ever"


def test_alerts_ask_for_what_there_is() -> None:
    rules = (DEPLOY / "prometheus/alerts.yml").read_text()
    asked = set(names_in(rules))
    assert len(asked) > 8
    assert asked <= known_names()


def test_the_documentation_lists_the_metrics() -> None:
    text = (CHECKOUT / "docs/metrics.md").read_text()
    row = re.compile(r"^\| `(pi_detector_\w+)` \| (\w+) \| (.*?) \|", re.MULTILINE)
    listed = {
        (name, kind, tuple(sorted(re.findall(r"`(\w+)`", labels))))
        for name, kind, labels in row.findall(text)
    }
    assert listed == set(families())


def test_the_compose_file_fits_its_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    run = subprocess.run([*command, DEPLOY / "compose.yaml"], capture_output=True, check=False)
    assert run.returncode == 0, run.stdout


def test_the_compose_file_is_shut_by_default() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    assert "127.0.0.1:9090" in text
    assert text.count("${BIND_ADDRESS:-127.0.0.1}") == 2
    assert not re.search(r"password\w*: *[^{\s/]", text, re.IGNORECASE)

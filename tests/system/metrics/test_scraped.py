"""A run whose metrics the real Prometheus reads: over HTTP, and through node_exporter."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
PATIENCE_S = 60.0
RATE_INTERVAL = "30s"
DETECTORS = ("door", "yard")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.2)
    return found


@dataclass
class Watched:
    """Everything that runs for these tests."""

    prometheus: str
    textfiles: Path
    daemons: dict[str, subprocess.Popen[bytes]]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The answer of Prometheus; fails where it has none."""
        url = f"{self.prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        answer = json.loads(get(url))
        assert answer["status"] == "success", answer
        assert not answer.get("warnings"), answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


def get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: {error.read().decode()}") from error


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except OSError:  # also an answer that says "not yet"
        return False
    return True


def start(stack: ExitStack, *command: str | Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stack.callback(process.wait, PATIENCE_S)
    stack.callback(process.terminate)
    return process


def start_daemon(stack: ExitStack, **sections: dict[str, object]) -> subprocess.Popen[bytes]:
    settings = {
        "source": {"uri": "demo:", "fps": 5},
        "output": {"stdout": "none"},
        "telemetry": {"interval_s": 2},
        **sections,
    }
    overrides = [
        f"--set={section}.{key}={value}"
        for section, values in settings.items()
        for key, value in values.items()
    ]
    return start(stack, sys.executable, "-m", "pi_detector", "run", *overrides)


def filed(folder: Path, name: str) -> dict[str, object]:
    """The settings of metrics in a file."""
    return {"textfile": folder / f"pi-detector-{name}.prom", "interval_s": 1, "detector": name}


def start_prometheus(stack: ExitStack, folder: Path, served: int, exporter: int) -> str:
    """Prometheus with the settings of deploy/, but in a hurry. Returns its address."""
    shutil.copytree(DEPLOY / "prometheus", folder)
    settings = (folder / "prometheus.yml").read_text()
    assert "scrape_interval: 15s" in settings
    settings = settings.replace("scrape_interval: 15s", "scrape_interval: 1s")
    settings = settings.replace("evaluation_interval: 30s", "evaluation_interval: 1s")
    (folder / "prometheus.yml").write_text(settings)
    for file, port in (("detectors", served), ("nodes", exporter)):
        (folder / f"targets/{file}.yml").write_text(f'- targets: ["127.0.0.1:{port}"]\n')
    port = free_port()
    start(
        stack,
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    textfiles = folder / "textfiles"
    textfiles.mkdir()
    with ExitStack() as stack:
        served, exporter = free_port(), free_port()
        start_daemon(stack, web={"enabled": "true", "port": served})
        daemons = {name: start_daemon(stack, metrics=filed(textfiles, name)) for name in DETECTORS}
        start(
            stack,
            "prometheus-node-exporter",
            "--collector.disable-defaults",
            "--collector.textfile",
            f"--collector.textfile.directory={textfiles}*",
            f"--web.listen-address=127.0.0.1:{exporter}",
        )
        prometheus = start_prometheus(stack, folder / "prometheus", served, exporter)
        found = Watched(
            prometheus,
            textfiles,
            daemons,
        )
        wait_for(lambda: answers(f"{prometheus}/-/ready"), "no Prometheus")
        enough = f"rate(pi_detector_frames_inferred_total[{RATE_INTERVAL}]) > 0"
        wait_for(lambda: len(found.query(enough)) == 3, "not all detectors are seen")
        yield found


def test_the_text_is_well_formed(watched: Watched) -> None:
    for file in watched.textfiles.glob("*.prom"):
        checked = subprocess.run(
            ["promtool", "check", "metrics"],
            input=file.read_bytes(),
            capture_output=True,
            check=False,
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_prometheus_reads_openmetrics_over_http(watched: Watched) -> None:
    (up,) = watched.query('up{job="pi-detector"}')
    assert up["value"][1] == "1"
    (frames,) = watched.query('pi_detector_frames_processed_total{job="pi-detector"}')
    (model,) = watched.query('pi_detector_model_info{job="pi-detector"}')
    assert int(frames["value"][1]) > 0
    assert model["metric"]["model"] == "street"
    assert watched.query("histogram_quantile(0.5, rate(pi_detector_latency_seconds_bucket[1m]))")


def test_node_exporter_reads_two_detectors_of_one_machine(watched: Watched) -> None:
    (error,) = watched.query("node_textfile_scrape_error")
    assert error["value"][1] == "0"
    seen = watched.query('pi_detector_source_up{job="node"} == 1')
    assert {each["metric"]["detector"] for each in seen} == {"door", "yard"}
    assert len(watched.query("node_textfile_mtime_seconds")) == 2


def expressions() -> Iterator[tuple[str, str]]:
    dashboard = json.loads((DEPLOY / "grafana/pi-detector.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


@pytest.mark.parametrize(("title", "expression"), list(expressions()))
def test_each_panel_can_be_asked_for(watched: Watched, title: str, expression: str) -> None:
    asked = expression.replace("$__rate_interval", RATE_INTERVAL).replace("$instance", ".*")
    assert "$" not in asked
    result = watched.query(asked)
    names = set(re.findall(r"pi_detector_\w+", asked))
    is_filter = re.search(r"[=>] *[01]$", asked)
    if not is_filter and all(watched.query(name) for name in names):
        assert result, f"{title}: {asked} has no result"


def test_no_alert_is_broken_and_none_is_raised(watched: Watched) -> None:
    groups = json.loads(get(f"{watched.prometheus}/api/v1/rules"))["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 8
    evaluated = wait_for(
        lambda: [rule for rule in rules if rule["health"] != "unknown"] or None, "not evaluated"
    )
    assert [rule["lastError"] for rule in evaluated if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


def test_a_detector_that_ends_takes_its_metrics_along(watched: Watched) -> None:
    watched.daemons["yard"].send_signal(signal.SIGTERM)
    assert watched.daemons["yard"].wait(PATIENCE_S) == 0
    assert [file.name for file in watched.textfiles.iterdir()] == ["pi-detector-door.prom"]
    gone = 'pi_detector_source_up{detector="yard"}'
    wait_for(lambda: not watched.query(gone), "the metrics stay")
    assert watched.query('pi_detector_source_up{detector="door"}')
